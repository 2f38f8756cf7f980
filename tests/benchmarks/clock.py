"""How late a real scheduler process is, how fast it sends 1,000 ticks of one second, and what it costs when idle.

On servers of its own. A tick counts as sent when its transaction has committed, by PostgreSQL's commit timestamps.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
import psycopg

from project.embedded.postgres import postgres
from project.embedded.server import Server
from project.embedded.valkey import valkey

ROOT = Path(__file__).resolve().parent.parent.parent
CROWD = 1_000
#: A schedule inserted with SQL is known to the scheduler after its next sweep.
NOTICE_SECONDS = 7

ADD = """
    INSERT INTO scheduler_schedule (name, task, cron, next_fire_at)
    SELECT %(name)s || n, 'ping', '0 0 1 1 *',
           date_trunc('second', clock_timestamp()) + (%(notice)s + n * %(every)s) * interval '1 second'
    FROM generate_series(1, %(count)s) n
"""
LATENESS = """
    SELECT 1000 * extract(epoch FROM lateness),
           1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin) - fire_time)
    FROM scheduler_tick WHERE name LIKE %(name)s || '%%' AND outcome <> 'skipped' ORDER BY fire_time
"""


def run(*, quick: bool = False) -> dict[str, float]:
    """Measure one scheduler process.

    Args:
        quick: 8 ticks and 5 idle seconds instead of 30 and 30.

    Returns:
        Milliseconds from fire time to claim and to commit, seconds until 1,000 ticks of one second were sent, and
        the percentage of one core that an idle scheduler uses.
    """
    seconds = 8 if quick else 30
    with _scheduler() as (database, process):
        idle = _idle_percent(process, seconds=5 if quick else 30)
        single = _late(database, name="each second ", count=seconds, every=1)
        crowd = _late(database, name="crowd ", count=CROWD, every=0)
    claims, commits = ([pair[place] for pair in single] for place in (0, 1))
    return {
        "ticks": len(single),
        "claim_p50_ms": _percentile(claims, 50),
        "claim_p99_ms": _percentile(claims, 99),
        "sent_p50_ms": _percentile(commits, 50),
        "sent_p99_ms": _percentile(commits, 99),
        "crowd": len(crowd),
        "crowd_sent_seconds": round(max(commit for _, commit in crowd) / 1000, 2),
        "idle_cpu_percent": idle,
    }


def main() -> None:
    """Print the figures."""
    figures = run()
    print(f"{figures['ticks']:.0f} ticks, one each second, from fire time to commit:")
    print(f"  p50 {figures['sent_p50_ms']:.1f} ms, p99 {figures['sent_p99_ms']:.1f} ms")
    print(f"{figures['crowd']:.0f} schedules of one second, a transaction each: {figures['crowd_sent_seconds']} s")
    print(f"idle: {figures['idle_cpu_percent']} % of one core")


@contextmanager
def _scheduler() -> Iterator[tuple[psycopg.Connection[Any], psutil.Process]]:
    """A scheduler process without schedules, and a session on its database."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        directory.chmod(0o755)
        servers = postgres(directory / "postgres", durable=False), valkey(directory / "valkey")
        for server in servers:
            _start(server)
            stack.callback(server.stop)
        _track_commits(servers[0])
        environment = _environment(*servers)
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
        database = stack.enter_context(psycopg.connect(servers[0].url, autocommit=True))
        database.execute("UPDATE scheduler_schedule SET enabled = false")
        scheduler = subprocess.Popen([sys.executable, "manage.py", "runscheduler"], cwd=ROOT, env=environment)
        stack.callback(scheduler.wait)
        stack.callback(scheduler.terminate)
        while not database.execute("SELECT 1 FROM tasks_worker").fetchone():
            time.sleep(0.1)
        time.sleep(2)
        yield database, psutil.Process(scheduler.pid)


def _start(server: Server) -> None:
    server.start()
    server.wait_until_ready()


def _track_commits(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    server.stop()
    _start(server)


def _environment(database: Server, broker: Server) -> dict[str, str]:
    ours = {"DATABASE_URL": database.url, "REDIS_URL": broker.url, "ENV_FILE": os.devnull, "LOG_LEVEL": "WARNING"}
    return {**os.environ, **ours, "DJANGO_SETTINGS_MODULE": "project.settings"}


def _idle_percent(process: psutil.Process, *, seconds: int) -> float:
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return round(100 * used / (time.monotonic() - started), 2)


def _late(database: psycopg.Connection[Any], *, name: str, count: int, every: int) -> list[tuple[float, float]]:
    """Add schedules, wait until all are sent, and give the milliseconds to each claim and commit."""
    database.execute(ADD, {"name": name, "count": count, "every": every, "notice": NOTICE_SECONDS})
    deadline = time.monotonic() + NOTICE_SECONDS + count * every + 60
    while time.monotonic() < deadline:
        rows = database.execute(LATENESS, {"name": name}).fetchall()
        if len(rows) == count:
            return [(float(claim), float(commit)) for claim, commit in rows]
        time.sleep(1)
    raise TimeoutError(f"only {len(rows)} of {count} ticks were sent")


def _percentile(values: list[float], percent: int) -> float:
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 2)


if __name__ == "__main__":
    main()
