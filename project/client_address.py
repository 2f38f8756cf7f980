"""Which address a request came from."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the client, or None if it is not known (a Unix socket).

    Each proxy appends to ``X-Forwarded-For`` the address it was called from; what stands further left is what the
    client itself chose to say. So only the entry written by the outermost of our ``PROXY_HOPS`` proxies counts, and
    without proxies none does.
    """
    direct = request.META.get("REMOTE_ADDR", "")
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    hops: int = settings.PROXY_HOPS
    if 0 < hops <= len(forwarded):
        return _address(forwarded[-hops]) or _address(direct)
    return _address(direct)


def _address(text: str) -> str | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return str(address).partition("%")[0]
