"""The environment is complete, right and documented, or the service says why it does not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import SecretStr

from project.environment import BASE_DIR, Environment, read_environment

NOWHERE = Path("/nowhere")
COMPLETE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgres://user:password@db/name",
    "REDIS_URL": "redis://broker/0",
    "ALLOWED_HOSTS": "example.com, www.example.com",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def read(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Environment:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_environment(env_file=NOWHERE, secrets_dir=NOWHERE)


def test_development_needs_nothing() -> None:
    environment = read_environment(env_file=NOWHERE, secrets_dir=NOWHERE)
    assert environment.environment == "development"
    assert not environment.is_production


def test_production_starts_with_everything_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = read(monkeypatch, COMPLETE)
    assert environment.is_production
    assert environment.allowed_hosts == ["example.com", "www.example.com"]


def test_production_names_all_that_is_missing_and_wrong_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        read(monkeypatch, {"ENVIRONMENT": "production", "TIME_ZONE": "Mars/Olympus"})
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ALLOWED_HOSTS", "TIME_ZONE"):
        assert f"  {name}: " in str(refused.value)


def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL: is missing"):
        read(monkeypatch, {**COMPLETE, "REDIS_URL": ""})


def test_a_bucket_is_named_and_its_keys_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="EXPORTS_S3_BUCKET: the other"):
        read(monkeypatch, {"EXPORTS_S3_ENDPOINT": "https://s3.example.com"})
    with pytest.raises(ImproperlyConfigured, match="EXPORTS_S3_SECRET_KEY: EXPORTS_S3_ACCESS_KEY and it go together"):
        read(monkeypatch, {"EXPORTS_S3_BUCKET": "exports", "EXPORTS_S3_ACCESS_KEY": "key"})


def test_a_short_secret_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY: is too short") as refused:
        read(monkeypatch, {**COMPLETE, "SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("variable", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"])
def test_secrets_do_not_show_when_the_environment_is_printed(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert COMPLETE[variable] not in repr(read(monkeypatch, COMPLETE))


def test_a_file_of_variables_is_read_and_the_process_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=9000\nTIME_ZONE=Europe/Berlin\n")
    monkeypatch.setenv("PORT", "9001")
    environment = read_environment(env_file=file, secrets_dir=NOWHERE)
    assert (environment.port, environment.time_zone) == (9001, "Europe/Berlin")


def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("y" * 60 + "\n")
    environment = read_environment(env_file=NOWHERE, secrets_dir=tmp_path)
    assert environment.secret_key.get_secret_value() == "y" * 60


def test_a_misconfigured_command_prints_the_mistakes_and_no_traceback() -> None:
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "ENV_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ALLOWED_HOSTS: is missing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.7", "web.internal"])
def test_what_is_for_development_does_not_start_where_others_can_reach_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"BIND_ADDRESS: others can reach .* ENVIRONMENT and SECRET_KEY"):
        read(monkeypatch, {"BIND_ADDRESS": address})
    with pytest.raises(ImproperlyConfigured, match="so SECRET_KEY must be set"):
        read(monkeypatch, {"BIND_ADDRESS": address, "ENVIRONMENT": "development"})
    assert read(monkeypatch, {"BIND_ADDRESS": address, "ENVIRONMENT": "development", "SECRET_KEY": "x" * 40})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_on_ones_own_machine_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert not read(monkeypatch, {"BIND_ADDRESS": address}).is_production


def test_every_variable_says_what_it_is_for() -> None:
    assert [name for name, field in Environment.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", list(Environment.model_fields))
def test_the_readme_says_the_same_of_every_variable(name: str) -> None:
    field = Environment.model_fields[name]
    default = "" if field.default is None or isinstance(field.default, SecretStr) else field.default
    shown = ",".join(default) if isinstance(default, list) else str(default).lower() if default is True else default
    row = f"| `{name.upper()}` | {f'`{shown}`' if shown != '' else ''} | {field.description} |"
    assert row in (BASE_DIR / "README.md").read_text().splitlines()
