"""The compose file starts things in order, stops them gently and shows nothing to the outside."""

import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from ruamel.yaml import YAML

from project.embedded.server import free_port
from project.embedded.valkey import _program as valkey_program
from project.environment import BASE_DIR, Environment, ProductionEnvironment
from project.web.server.processes import GRACE_SECONDS
from project.web.server.server import DRAIN_SECONDS
from tests.eventually import eventually

TEXT = (BASE_DIR / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["migrate", "web", "worker", "scheduler"]
LASTING = ["web", "worker", "scheduler", "postgres", "redis"]
EXAMPLE = (BASE_DIR / ".env.example").read_text()


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize("name", ["web", "worker", "scheduler"])
def test_a_process_starts_after_the_servers_and_the_migrations(name: str) -> None:
    conditions = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}
    assert conditions == {
        "postgres": "service_healthy",
        "redis": "service_healthy",
        "migrate": "service_completed_successfully",
    }


def test_the_worker_may_finish_what_it_runs_before_it_is_killed() -> None:
    (drain,) = re.findall(r"--worker-shutdown-timeout=(\d+)", " ".join(SERVICES["worker"]["command"]))
    assert int(drain) / 1000 < seconds(SERVICES["worker"]["stop_grace_period"])


def test_the_web_server_may_finish_its_requests_before_it_is_killed() -> None:
    assert seconds(SERVICES["web"]["stop_grace_period"]) > DRAIN_SECONDS + GRACE_SECONDS


@pytest.mark.parametrize("name", LASTING)
def test_what_stays_up_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["healthcheck"]["start_interval"]


@pytest.mark.parametrize("name", LASTING)
def test_what_stays_up_comes_back(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", list(SERVICES))
def test_everything_has_limits(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", list(SERVICES))
def test_no_process_can_change_anything_but_its_data(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("init") if name in OURS else service["user"] in ("postgres", "valkey")


def test_the_password_of_the_broker_works_and_is_not_on_its_command_line(tmp_path: Path) -> None:
    shell, option, script = SERVICES["redis"]["command"]
    port = free_port()
    # What compose does: it takes $$ for $. Only where the server listens is the test's.
    script = script.replace("$$", "$").replace(
        "valkey-server -", f"{valkey_program()} - --bind 127.0.0.1 --port {port}"
    )
    variables = {"REDISCLI_AUTH": "only4tests", "MAXMEMORY": "100mb"}
    server = subprocess.Popen([shell, option, script], cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password="only4tests") as client:
            eventually(lambda: _answers(client))
            assert client.config_get("maxmemory") == {"maxmemory": str(100 * 2**20)}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert "only4tests" not in " ".join(psutil.Process(server.pid).cmdline())
    finally:
        server.terminate()
        assert server.wait(10) == 0


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_only_the_web_process_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in published["web"])


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_the_servers_answer_only_on_an_internal_network(name: str) -> None:
    assert SERVICES[name]["networks"] == ["data"]
    assert COMPOSE["networks"]["data"]["internal"]


@pytest.mark.parametrize("name", ["worker", "scheduler"])
def test_processes_can_be_scaled(name: str) -> None:
    assert "container_name" not in SERVICES[name]
    assert "ports" not in SERVICES[name]


def test_the_broker_keeps_messages() -> None:
    script = SERVICES["redis"]["command"][2]
    assert "--appendonly yes" in script
    assert "--maxmemory-policy noeviction" in script
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_the_database_keeps_its_data_where_postgres_18_puts_it() -> None:
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


@pytest.mark.parametrize("variable", ["SECRET_KEY", "ALLOWED_HOSTS", "POSTGRES_PASSWORD", "REDIS_PASSWORD"])
def test_nothing_starts_without_a_secret(variable: str) -> None:
    assert f"${{{variable}:?" in TEXT
    assert f"${{{variable}:-" not in TEXT


def test_every_variable_is_in_the_example_with_its_default() -> None:
    used = dict(re.findall(r"\$\{([A-Z_]+)(?::[-?]([^}]*))?\}", TEXT))
    shown = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(used) == set(shown)
    optional = {name for name in used if f"${{{name}:-" in TEXT}
    assert {name: shown[name] for name in optional} == {
        name: re.findall(rf"\$\{{{name}:-([^}}]*)\}}", TEXT)[0] for name in optional
    }


def test_our_processes_get_only_variables_that_exist() -> None:
    given = SERVICES["web"]["environment"]
    assert {name.lower() for name in given} <= set(Environment.model_fields)
    assert {name.upper() for name in ProductionEnvironment.model_fields if name in ("secret_key", "redis_url")} <= set(
        given
    )


def test_the_image_runs_as_a_user_without_a_name_or_rights() -> None:
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    assert "USER 10001:10001" in dockerfile
    assert "--require-hashes" in dockerfile
    assert 'CMD ["python", "-m", "project.web.server"]' in dockerfile
