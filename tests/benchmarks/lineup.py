"""Who is measured, each with two processes of four threads or what comes nearest to it.

The peers say only warnings and errors, which is the faster for them; this service writes what it writes by default,
a line for each durable run.
"""

from dataclasses import replace

from tests.benchmarks.system import System

_SYSTEM = "tests.benchmarks.systems."
_SETTINGS = "tests.benchmarks.ours.settings"

OURS = System(
    "ours",
    "this service, fast lane",
    "python manage.py rundramatiq --processes {processes} --threads {threads} --skip-logging",
    django=_SETTINGS,
)
OURS_ROWS = replace(OURS, module="ours_rows", title="this service, durable")
OURS_QUIET = replace(
    OURS_ROWS, variant="_quiet", title="this service, durable, LOG_LEVEL=WARNING", environment={"LOG_LEVEL": "WARNING"}
)
OURS_ASYNC = replace(
    OURS,
    module="ours_async",
    title="this service, durable, async, 100",
    command=f"{OURS.command} --async-concurrency 100",
    messages=40_000,
)
DRAMATIQ = System(
    "dramatiq_",
    "Dramatiq 2.2",
    f"python -m dramatiq {_SYSTEM}dramatiq_ --processes {{processes}} --threads {{threads}}",
    messages=10_000,
)
CELERY = System(
    "celery_",
    "Celery 5.7, prefork",
    f"python -m celery -A {_SYSTEM}celery_ worker --concurrency {{processes}} --loglevel ERROR",
    messages=5_000,
)
CELERY_ROWS = replace(
    CELERY,
    module="celery_rows",
    title="Celery 5.7, django-celery-results",
    command=CELERY.command.replace("celery_ ", "celery_rows "),
    messages=1_000,
    django=f"{_SYSTEM}celery_settings",
)
HUEY = System("huey_", "Huey 3.5", f"huey_consumer {_SYSTEM}huey_.huey --workers {{threads}} --quiet", copies=True)
RQ = System("rq_", "RQ 2.12", "rq worker-pool default --num-workers {processes} --url {url} --quiet", messages=500)
TASKIQ = System(
    "taskiq_",
    "Taskiq 0.13",
    f"taskiq worker {_SYSTEM}taskiq_:broker --workers {{processes}} --log-level ERROR",
    messages=5_000,
)
PROCRASTINATE = System(
    "procrastinate_",
    "Procrastinate 3.10",
    f"procrastinate --log-level warning --app {_SYSTEM}procrastinate_.app worker --concurrency {{threads}}",
    copies=True,
    messages=2_000,
)
PGQUEUER = System(
    "pgqueuer_",
    "PgQueuer 1.6, 10 at a time",
    f"python -m {_SYSTEM}pgqueuer_ 10",
    variant="10",
    copies=True,
)
PGQUEUER_100 = replace(
    PGQUEUER,
    title="PgQueuer 1.6, 100 at a time",
    command=f"{PGQUEUER.command}0",
    variant="100",
    messages=40_000,
)
OBAN = System(
    "oban_",
    "Oban for Python 0.7, 10 at a time",
    f"oban start --queues default:10 --cron-modules {_SYSTEM}oban_ --log-level WARNING",
    variant="10",
    copies=True,
    messages=10_000,
    needs=(3, 12),
    environment={"OBAN_DSN": "{database}"},
)
OBAN_100 = replace(
    OBAN, title="Oban for Python 0.7, 100 at a time", command=OBAN.command.replace(":10 ", ":100 "), variant="100"
)

OURS_ALL = [OURS, OURS_ROWS, OURS_QUIET, OURS_ASYNC]
NATIVE = [PGQUEUER, PGQUEUER_100, OBAN, OBAN_100]
SYSTEMS = [*OURS_ALL, *NATIVE, DRAMATIQ, CELERY, CELERY_ROWS, HUEY, RQ, TASKIQ, PROCRASTINATE]
#: What a short run measures: what the goals are about.
SYSTEMS_OF_QUICK = [OURS, OURS_ROWS, OURS_ASYNC, *NATIVE, CELERY, HUEY]
