"""Procrastinate, whose queue is a table in PostgreSQL."""

import os
import time

import psycopg
from procrastinate import App, PsycopgConnector

from tests.benchmarks.systems import stamps

URL = os.environ["BENCH_DATABASE_URL"]
app = App(connector=PsycopgConnector(conninfo=URL), import_paths=["tests.benchmarks.systems.procrastinate_"])


@app.task(name="noop")
def noop(data: str) -> None:
    pass


@app.task(name="stamp")
def stamp(sent: float) -> None:
    stamps.stamp(sent)


_opened: list[App] = []


def sender() -> App:
    """Open the app for sending, once."""
    if not _opened:
        _opened.append(app.with_connector(app.connector.get_sync_connector()))
        _opened[0].open()
    return _opened[0]


def make_tables() -> None:
    """Make the tables."""
    with psycopg.connect(URL) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    sender().schema_manager.apply_schema()


def prepare() -> None:
    """Forget what an earlier run left."""
    with psycopg.connect(URL) as connection:
        connection.execute("TRUNCATE procrastinate_jobs CASCADE")


def send(data: str) -> None:
    sender().configure_task("noop").defer(data=data)


def send_many(count: int, data: str) -> None:
    for start in range(0, count, 500):
        size = min(500, count - start)
        sender().configure_task("noop").batch_defer(*({"data": data} for _ in range(size)))


def send_stamp() -> None:
    sender().configure_task("stamp").defer(sent=time.time())


def pending() -> int:
    with psycopg.connect(URL) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')").fetchone()
    return int(row[0]) if row else 0
