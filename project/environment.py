"""Every environment variable the service reads, typed and documented, in one class."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from project.export_environment import ExportVariables
from project.mail_environment import MailVariables

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

BASE_DIR = Path(__file__).resolve().parent.parent
SECRETS_DIR = Path("/run/secrets")

Names = Annotated[list[str], NoDecode]


class Stage(BaseSettings):
    """The one variable that decides how the others are read."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    environment: Literal["development", "test", "production"] = Field(
        default="development",
        description="`production` turns security on, logs JSON and refuses to start half configured.",
    )


class Environment(ExportVariables, MailVariables, Stage):
    """The configuration of one process, from its environment, `.env` and `/run/secrets`.

    A field's name in capitals is the variable's name. An empty value counts as not set. What the
    process's environment says wins over `.env`, and that over a file in `/run/secrets`.
    """

    secret_key: SecretStr = Field(
        default=SecretStr("development-only-key-that-is-long-enough-for-hs256"),
        min_length=32,
        description="Signs sessions and access tokens; 50 random characters or more. Required in production.",
    )
    database_url: SecretStr = Field(
        default=SecretStr("postgres://postgres@127.0.0.1:5432/postgres"),
        description="PostgreSQL. `make run` starts its own when unset. Required in production.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis 7.0 or newer, or Valkey. `make run` starts its own when unset. Required in production.",
    )
    allowed_hosts: Names = Field(
        default=["localhost", "127.0.0.1", "[::1]"],
        description="Host names the service answers to, separated by commas. Required in production.",
    )
    csrf_trusted_origins: Names = Field(
        default=[],
        description="Origins whose forms the admin accepts, such as `https://example.com`, separated by commas.",
    )
    proxy_hops: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Proxies in front whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; 0 believes none.",
    )
    auth_rate_limit: str = Field(
        default="10/minute",
        pattern=r"^[1-9]\d{0,6}/(second|minute|hour|day)$",
        description="Sign-ins, sign-ups, token refreshes, revocations and password changes (each counted alone) "
        "allowed per client.",
    )
    account_rate_limit: str = Field(
        default="10/minute",
        pattern=r"^[1-9]\d{0,6}/(second|minute|hour|day)$",
        description="Failed sign-ins allowed per account, from all clients together that have not signed in to it yet.",
    )
    secure_ssl_redirect: bool = Field(default=True, description="Redirect HTTP to HTTPS in production.")
    hsts_seconds: int = Field(
        default=3600,
        ge=0,
        description="How long browsers must insist on HTTPS in production; raise it once HTTPS is sure to stay.",
    )
    time_zone: str = Field(
        default="UTC",
        description="The service's local time, in which schedules such as 02:00 are read.",
    )
    database_pool_size: int = Field(
        default=32,
        ge=2,
        description="Most connections one process opens; at least its threads + 8, + 14 if it runs async tasks. "
        "All processes together must stay below PostgreSQL's `max_connections`.",
    )
    database_pool_timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds to wait for a free connection.",
    )
    database_pooler: Literal["none", "transaction"] = Field(
        default="none",
        description="`transaction` behind PgBouncer in transaction mode: nothing is kept in a database session then.",
    )
    async_concurrency: int = Field(
        default=100,
        ge=1,
        le=4000,
        description="`async def` tasks that one worker process runs at once, beside its threads.",
    )
    broker_namespace: str = Field(
        default="dramatiq",
        pattern=r"^[A-Za-z0-9_.{}-]{1,64}$",
        description="Prefix of the broker's keys; one per deployment that shares a Redis.",
    )
    history_days_succeeded: int = Field(
        default=14,
        ge=1,
        le=36_500,
        description="How many days the row of a task run that succeeded is kept.",
    )
    history_days_failed: int = Field(
        default=90,
        ge=1,
        le=36_500,
        description="How many days the row of a run that died, expired, was cancelled or discarded is kept.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token with which Prometheus may read `/metrics`; without it, only staff who may view runs.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="The least severe log line that is written.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`auto` is JSON in production and readable lines elsewhere.",
    )
    port: int = Field(default=8000, ge=1, le=65535, description="Where the web process listens.")
    bind_address: str = Field(
        default="127.0.0.1",
        description="Address the web process listens on; `0.0.0.0` in a container. One that others can reach needs "
        "`ENVIRONMENT` and `SECRET_KEY`.",
    )
    web_processes: int = Field(default=1, ge=1, description="Processes of the web server.")
    web_threads: int = Field(default=8, ge=1, description="Threads of each web process.")

    @field_validator("allowed_hosts", "csrf_trusted_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write one such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _is_not_open_by_mistake(self) -> Self:
        """Keep what is for one's own machine on it: development shows everybody its settings; its key is published."""
        if self.is_production or _is_loopback(self.bind_address):
            return self
        missing = [name.upper() for name in ("environment", "secret_key") if name not in self.model_fields_set]
        if missing:
            must = " and ".join(missing)
            others = f"BIND_ADDRESS: others can reach {self.bind_address}"
            raise ValueError(f"{others}, so {must} must be set; ENVIRONMENT to production")
        return self

    @property
    def is_production(self) -> bool:
        """Whether real people depend on this process."""
        return self.environment == "production"

    @property
    def logs_are_json(self) -> bool:
        """Whether log lines are JSON."""
        return self.log_format == "json" or (self.log_format == "auto" and self.is_production)


class ProductionEnvironment(Environment):
    """What production has no defaults for."""

    secret_key: SecretStr = Field(min_length=50)
    database_url: SecretStr
    redis_url: SecretStr
    allowed_hosts: Names


def read_environment(*, env_file: Path | None = None, secrets_dir: Path = SECRETS_DIR) -> Environment:
    """Read the configuration.

    Args:
        env_file: File of `NAME=value` lines; by default what `ENV_FILE` names, or else `.env` beside `manage.py`.
        secrets_dir: Directory with one file per secret; need not exist.

    Raises:
        ImproperlyConfigured: Naming everything that is wrong or missing, at once and without the values.
    """
    env_file = env_file or Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
    sources: dict[str, Any] = {
        "_env_file": env_file,
        "_secrets_dir": secrets_dir if secrets_dir.is_dir() else None,
    }
    try:
        in_production = Stage(**sources).environment == "production"
        return ProductionEnvironment(**sources) if in_production else Environment(**sources)
    except ValidationError as error:
        raise ImproperlyConfigured(_readable(error)) from None


def _readable(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    # Of variables that do not go together, the reason begins with the name of one.
    lines = ["  " + ": ".join([*(str(part).upper() for part in at["loc"][:1]), _reason(at)]) for at in mistakes]
    return "\n".join(["The environment is not complete or not right. Set these variables and start again:", *lines])


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _reason(mistake: "ErrorDetails") -> str:
    if mistake["type"] == "missing":
        return "is missing, and production has no default for it"
    if mistake["type"] == "too_short":
        return "is too short to keep anything secret; use 50 random characters"
    return mistake["msg"].removeprefix("Value error, ")


environment = read_environment()
