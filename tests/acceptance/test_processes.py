"""The processes that other acceptance tests rely on."""

import urllib.request

import psycopg
import redis

from project.embedded.server import Server
from tests.acceptance.processes import Service


def test_web_answers_until_it_is_told_to_stop(service: Service) -> None:
    web = service.web()
    with urllib.request.urlopen(f"{web.url}/livez") as response:
        assert response.status == 200
    assert web.terminate() == 0


def test_worker_stops_cleanly_when_it_is_told_to(service: Service) -> None:
    worker = service.worker(processes=2)
    assert worker.terminate() == 0


def test_valkey_keeps_its_data_over_a_crash(private_valkey: Server) -> None:
    with redis.Redis.from_url(private_valkey.url) as client:
        client.set("kept", 1)
        client.execute_command("WAITAOF", 1, 0, 2000)
    private_valkey.kill()
    private_valkey.start()
    private_valkey.wait_until_ready()
    with redis.Redis.from_url(private_valkey.url) as client:
        assert client.get("kept") == b"1"


def test_postgres_keeps_its_data_over_a_crash(private_postgres: Server) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    private_postgres.kill()
    private_postgres.start()
    private_postgres.wait_until_ready()
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (1,)
