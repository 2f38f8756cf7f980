"""Django gets what the environment says."""

import json
import os
import subprocess
import sys
import zoneinfo

from project.environment import BASE_DIR

PRODUCTION = {
    "PATH": os.environ["PATH"],
    "ENV_FILE": os.devnull,
    "ENVIRONMENT": "production",
    "SECRET_KEY": "kT4vQ8-fixed-and-long-enough-for-a-test-of-settings-9zXw2Lm",
    "ALLOWED_HOSTS": "example.com",
    "DATABASE_URL": "postgres://postgres@%2Fsome%2Fdirectory/name?sslmode=require",
    "REDIS_URL": "redis://:secret@broker:6379/0",
}


def setting(expression: str, **variables: str) -> object:
    """Return a setting as a process with these variables would see it."""
    program = f"import json; from project import settings; print(json.dumps({expression}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE_DIR,
        env={**PRODUCTION, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_production_passes_the_deployment_checks() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR,
        env=PRODUCTION,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_database_may_be_a_unix_socket() -> None:
    assert setting("settings.DATABASES['default']['HOST']") == "/some/directory"


def test_what_the_database_address_asks_for_is_kept() -> None:
    assert setting("settings.DATABASES['default']['OPTIONS']['sslmode']") == "require"


def test_forwarded_headers_are_believed_only_behind_a_proxy() -> None:
    expression = "getattr(settings, 'SECURE_PROXY_SSL_HEADER', None)"
    assert setting(expression) is None
    assert setting(expression, PROXY_HOPS="1") == ["HTTP_X_FORWARDED_PROTO", "https"]


def test_time_zones_come_from_the_pinned_package() -> None:
    assert zoneinfo.TZPATH == ()
    assert zoneinfo.ZoneInfo("Europe/Berlin").key == "Europe/Berlin"
