"""Durable runs in two databases of one server in turn: one that is empty, and one with millions of finished runs."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import psycopg

from tests.benchmarks.lineup import OURS_ROWS
from tests.benchmarks.session import running
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System

QUICK_ROWS, ROWS, SOAK_ROWS = 100_000, 3_000_000, 10_000_000
QUICK_ROUNDS, ROUNDS = 1, 5
MESSAGES = 20_000
_GIVE_UP_SECONDS = 120

# Three days of four tasks; a third was sent by requests, one in 200 is dead.
_FILL = """
    INSERT INTO tasks_taskrun (id, task, queue, priority, arguments, state, created_at, run_after, published_at,
                               started_at, finished_at, attempts, failures, worker_id, progress, result, error_type,
                               error, fingerprint, source, request_id, schedule, next_steps)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8' ||
            substr(md5(n::text), 1, 15))::uuid,
           (ARRAY['bench.durable', 'a.b', 'c.d', 'e.f'])[1 + n % 4], (ARRAY['default', 'default', 'c', 'e'])[1 + n % 4],
           0, '{"data": ""}', state, at, at, at, at, at, 1, (state = 'dead')::int, gen_random_uuid(), 1, 'null',
           CASE state WHEN 'dead' THEN 'ValueError' ELSE '' END, CASE state WHEN 'dead' THEN 'wrong' ELSE '' END,
           CASE state WHEN 'dead' THEN 'abcdef0123456789' ELSE '' END, 'code',
           CASE WHEN n % 3 = 0 THEN md5(n::text) ELSE '' END, '', '[]'
      FROM (SELECT n, now() - (%(rows)s - n) * (interval '3 days' / %(rows)s) AS at,
                   CASE WHEN n % 200 = 0 THEN 'dead' ELSE 'succeeded' END AS state
              FROM generate_series(1, %(rows)s) AS n) AS numbered
"""


def run(*, quick: bool = False) -> dict[str, float]:
    """Measure both in turn, as often as makes a ratio that a noisy minute does not bend.

    Args:
        quick: A hundred thousand finished runs instead of three million, or of ten million with `SOAK=1`.

    Returns:
        The medians of runs a second beside none and beside many, and the median of the rounds' ratios.
    """
    rows = QUICK_ROWS if quick else SOAK_ROWS if os.environ.get("SOAK") else ROWS
    none, many = (_system(name) for name in ("none", "many"))
    with tempfile.TemporaryDirectory() as logs:
        stage = Stage(
            redis_url=os.environ["BENCH_REDIS_URL"],
            database_url=os.environ["BENCH_DATABASE_URL"],
            logs=Path(logs),
            servers=[],
        )
        _rate(stage, none)
        _fill(stage, many, rows=rows)
        # The order changes from round to round, so that neither always follows the other.
        rounds = [
            _round(stage, (none, many) if n % 2 else (many, none)) for n in range(QUICK_ROUNDS if quick else ROUNDS)
        ]
    rates = {system.key: round(median(each[system.key] for each in rounds)) for system in (none, many)}
    ratio = median(each[many.key] / each[none.key] for each in rounds)
    return {"rows": rows, "none": rates[none.key], "many": rates[many.key], "ratio": round(ratio, 3)}


def _system(variant: str) -> System:
    return replace(OURS_ROWS, module="ours_history", variant=f"_{variant}")


def _round(stage: Stage, systems: tuple[System, System]) -> dict[str, float]:
    rates = {system.key: _rate(stage, system) for system in systems}
    print(f"history: {rates}", flush=True)
    return rates


def _rate(stage: Stage, system: System) -> float:
    with running(stage, system) as session:
        return session.throughput(messages=MESSAGES, seconds=_GIVE_UP_SECONDS)


def _fill(stage: Stage, system: System, *, rows: int) -> None:
    """Finish that many runs, and have done by then what the database does about so many new rows."""
    _rate(stage, system)
    with psycopg.connect(stage.environment_of(system)["BENCH_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(_FILL.replace("%(rows)s", str(rows)).encode())
        connection.execute("VACUUM ANALYZE tasks_taskrun")
        connection.execute("CHECKPOINT")
