"""The environment variables about mail: which server takes it, from whom it comes, and where its links lead."""

from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

#: Where servers listen, by how the connection is protected.
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_RATE = r"^[1-9]\d{0,6}/(second|minute|hour|day)$"


class MailVariables(BaseModel):
    """What `Environment` knows about mail."""

    site_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]+)?/?$",
        description="Where links in mails lead, such as `https://example.com`; when unset, the first of "
        "`ALLOWED_HOSTS` in production and this machine elsewhere.",
    )
    email_host: str = Field(
        default="",
        pattern=r"^\S*$",
        description="SMTP server. When unset, `localhost` in production; elsewhere mails become files.",
    )
    email_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Its port; when unset 25, or 587 or 465 by `EMAIL_SECURITY`.",
    )
    email_security: Literal["none", "starttls", "tls"] = Field(
        default="none",
        description="How the connection to it is encrypted; a password asks for `starttls` or `tls`.",
    )
    email_user: str = Field(
        default="",
        description="Whom to sign in as at the SMTP server.",
    )
    email_password: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The password of `EMAIL_USER`.",
    )
    email_from: str = Field(
        default="Todos <todos@localhost>",
        description="The sender of all mails, such as `Todos <todos@example.com>`.",
    )
    email_timeout: float = Field(
        default=10.0,
        gt=0,
        le=60,
        description="Seconds to wait for each answer of the SMTP server.",
    )
    email_rate_limit: str = Field(
        default="600/minute",
        pattern=_RATE,
        description="How many mails are handed over in any minute (second, hour, day), by all workers together; "
        "digests have a limit of their own.",
    )
    digest_rate_limit: str = Field(
        default="300/minute",
        pattern=_RATE,
        description="The same for weekly digests, so that they hold up no other mail; a provider must allow for both.",
    )
    mail_directory: Path | None = Field(
        default=None,
        description="Where mails become files when there is no `EMAIL_HOST`; `.data/mail` when unset.",
    )

    @field_validator("email_from")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        name, address = parseaddr(value)
        try:
            Address(display_name=name, addr_spec=address)
        except (ValueError, IndexError):  # the parser of the standard library raises both
            raise ValueError("must be an address, such as Todos <todos@example.com>") from None
        if not value.isprintable() or "@" not in address:
            raise ValueError("must be one address on one line, such as Todos <todos@example.com>")
        return value

    @model_validator(mode="after")
    def _shows_nobody_the_password(self) -> Self:
        if bool(self.email_user) != bool(self.email_password):
            raise ValueError("EMAIL_PASSWORD: EMAIL_USER and it go together; set both or neither")
        if self.email_password and self.email_security == "none" and not _is_this_machine(self.email_host):
            raise ValueError("EMAIL_PASSWORD: it would cross the network in the clear; set EMAIL_SECURITY")
        return self

    @property
    def email_port_used(self) -> int:
        """The port of the SMTP server."""
        return self.email_port or _PORTS[self.email_security]

    @property
    def email_domain(self) -> str:
        """The domain of the sender, which message ids end with."""
        return parseaddr(self.email_from)[1].rpartition("@")[2]


def site_url(given: str, *, hosts: list[str], port: int, is_production: bool) -> str:
    """Return where the service's pages are, without a slash at the end.

    Args:
        given: What `SITE_URL` says, if anything.
        hosts: The names the service answers to; one may begin with a dot, or stand for all of them.
        port: Where the web process listens on this machine.
        is_production: Whether people reach it under one of those names.
    """
    if given:
        return given.rstrip("/")
    name = next((host.lstrip(".") for host in hosts if host.strip(".*")), "localhost")
    return f"https://{name}" if is_production else f"http://127.0.0.1:{port}"


def _is_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or "localhost"
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
