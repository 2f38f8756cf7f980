"""Every environment variable the service reads, typed, in one class."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """The service's configuration."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    environment: str = "development"
    secret_key: SecretStr = SecretStr("development-only-key-that-is-long-enough-for-hs256")
    database_url: str = "postgres://postgres@localhost/postgres"
    redis_url: str = "redis://localhost:6379/0"
    allowed_hosts: str = "localhost,127.0.0.1"
    time_zone: str = "UTC"
    broker_namespace: str = "dramatiq"


environment = Environment()
