"""A broker that is nearly full, or would delete messages, is seen before it hurts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from dramatiq.broker import get_broker

from project.broker.addresses import connect
from project.broker.fullness import Fullness, alarms
from project.broker.shared_connections import SharedConnections
from project.embedded.valkey import valkey
from project.health.probes import ask_alarms
from project.tasks.models import TaskRun
from tests import tasks_for_tests as tasks


@pytest.fixture
def client_of_full_broker(server_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service's broker is a server that is full and evicts."""
    server = valkey(server_directory / "valkey", durable=False)
    server.start()
    server.wait_until_ready()
    client: Any = connect(server.url)
    client.config_set("maxmemory", 1_000_000)
    client.config_set("maxmemory-policy", "allkeys-lru")
    broker: Any = get_broker()
    monkeypatch.setattr(broker, "client", client)
    monkeypatch.setattr(broker.lua, "client", client)
    monkeypatch.setattr(broker.lua, "connections", SharedConnections(client))
    yield client
    client.close()
    server.stop()


def test_what_somebody_should_look_at() -> None:
    fine = {"used": 79, "limit": 100, "policy": "noeviction", "version": "7.0.15"}
    assert Fullness(**fine).alarms == []  # type: ignore[arg-type]
    assert Fullness(**fine | {"used": 10**12, "limit": 0}).alarms == []  # type: ignore[arg-type]
    assert "80% full" in Fullness(**fine | {"used": 80}).alarms[0]  # type: ignore[arg-type]
    assert "volatile-lru" in Fullness(**fine | {"policy": "volatile-lru"}).alarms[0]  # type: ignore[arg-type]
    assert "Redis 6.2.14" in Fullness(**fine | {"version": "6.2.14"}).alarms[0]  # type: ignore[arg-type]


def test_readiness_metrics_and_the_operations_page_tell_it(
    db: None, client_of_full_broker: Any, settings: Any, admin_client: Client
) -> None:
    told, _ = ask_alarms(settings.READINESS_ALARMS)
    assert any("full (" in line for line in told)
    page = admin_client.get("/admin/operations/").content.decode()
    assert "full (" in page
    assert "set maxmemory-policy noeviction, not allkeys-lru" in page
    metrics = admin_client.get("/metrics").content.decode()
    assert "tasks_broker_limit_bytes 1e+06" in metrics
    assert "tasks_broker_evicts 1.0" in metrics


def test_a_broker_that_is_away_is_told_and_breaks_no_page(
    db: None, client_of_full_broker: Any, admin_client: Client
) -> None:
    client_of_full_broker.shutdown(nosave=True)
    assert "does not answer" in alarms()[0]
    assert "does not answer" in admin_client.get("/admin/operations/").content.decode()
    assert "tasks_broker_up 0.0" in admin_client.get("/metrics").content.decode()


def test_sends_to_a_full_broker_succeed_and_wait(transactional_db: None, client_of_full_broker: Any) -> None:
    client_of_full_broker.config_set("maxmemory-policy", "noeviction")
    message = tasks.add.send(1)
    assert TaskRun.objects.get(id=message.run_id).state == TaskRun.State.PENDING
