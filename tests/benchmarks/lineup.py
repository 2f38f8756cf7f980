"""Who is measured, each with two processes of four threads or what comes nearest to it."""

from tests.benchmarks.session import System

_SYSTEM = "tests.benchmarks.systems."

OURS = System("ours", "this service, fast lane", "python manage.py rundramatiq -p {processes} -t {threads}")
OURS_ROWS = System("ours_rows", "this service, durable", OURS.command)
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
    messages=8_000,
)
CELERY_ROWS = System(
    "celery_rows",
    "Celery 5.7, django-celery-results",
    CELERY.command.replace("celery_ ", "celery_rows "),
    messages=2_000,
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
    f"procrastinate --app {_SYSTEM}procrastinate_.app worker --concurrency {{threads}}",
    copies=True,
    messages=2_000,
)

SYSTEMS = [OURS, OURS_ROWS, DRAMATIQ, CELERY, CELERY_ROWS, HUEY, RQ, TASKIQ, PROCRASTINATE]
