"""Which address a request came from."""

import re
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

#: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`
_WRITTEN = re.compile(r"\[(?P<bracketed>[^\]]*)\](?::\d+)?|(?P<v4>[\d.]+):\d+|(?P<bare>[^\[\]]*)")


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the client, or None if it is not known (a Unix socket).

    Each proxy appends to `X-Forwarded-For` the address it was called from; what stands further left is what the
    client itself chose to say. So only the entry written by the outermost of our `PROXY_HOPS` proxies counts, and
    without proxies none does.
    """
    direct = request.META.get("REMOTE_ADDR", "")
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    hops: int = settings.PROXY_HOPS
    if 0 < hops <= len(forwarded):
        return _address(forwarded[-hops]) or _address(direct)
    return _address(direct)


def _address(text: str) -> str | None:
    """Read an address as proxies write it, with or without a port."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return None
    try:
        address = ip_address(found["bracketed"] or found["v4"] or found["bare"])
    except ValueError:
        return None
    # A socket that takes both kinds shows an IPv4 client as `::ffff:192.0.2.1`.
    plain = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
    return str(plain).partition("%")[0]
