"""What Prometheus reads: the state of queues, runs, workers and schedules, from the database.

Any number of web processes may be asked; each gives the same answer. Nothing is counted in memory.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from project.broker.fullness import broker_fullness
from project.broker.service import BROKER_ERRORS
from project.desk.failures import failure_groups
from project.desk.overview import living_workers, queues_now
from project.desk.permissions import may_look
from project.desk.throughput import recent_throughput
from project.tasks.models import Worker
from scheduler.ledger import lateness_report


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format; to staff who may view runs, and to whoever has the token."""
    if not _is_allowed(request):
        return HttpResponseForbidden("Send METRICS_TOKEN as a bearer token.\n", content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Operations())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _is_allowed(request: HttpRequest) -> bool:
    if may_look(request.user):
        return True
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected: str = settings.METRICS_TOKEN
    # In constant time, so that the answer's delay does not spell the token.
    same = secrets.compare_digest(token.strip().encode(), expected.encode())
    return bool(expected) and scheme.lower() == "bearer" and same


class Operations(Collector):
    """Asks the database anew each time."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric: nine queries, however many rows there are."""
        yield from _queues()
        yield _processes()
        yield from _broker()
        yield from _tasks()
        yield from _schedules()

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that registering asks nothing."""
        return iter(())


def _queues() -> Iterator[Metric]:
    queues = queues_now()
    for name, what, values in (
        ("tasks_waiting", "Runs that could start now", {queue.name: queue.waiting for queue in queues}),
        ("tasks_later", "Runs whose time has not come", {queue.name: queue.later for queue in queues}),
        ("tasks_running", "Runs that a worker executes", {queue.name: queue.running for queue in queues}),
        (
            "tasks_oldest_waiting_seconds",
            "How long the run that waits longest could have been running",
            {queue.name: queue.oldest_age.total_seconds() if queue.oldest_age else 0 for queue in queues},
        ),
        (
            "tasks_queue_paused",
            "1 if the queue is paused",
            {queue.name: int(queue.paused is not None) for queue in queues},
        ),
        ("tasks_queue_workers", "Worker processes that consume the queue", {q.name: q.workers for q in queues}),
    ):
        yield _gauge(name, what, "queue", values)


def _processes() -> Metric:
    kinds = [worker.kind for worker in living_workers()]
    return _gauge(
        "tasks_processes", "Living processes", "kind", {kind: kinds.count(kind) for kind in Worker.Kind.values}
    )


def _broker() -> Iterator[Metric]:
    try:
        fullness = broker_fullness()
    except BROKER_ERRORS:
        yield GaugeMetricFamily("tasks_broker_up", "1 if the broker answers", value=0)
        return
    yield GaugeMetricFamily("tasks_broker_up", "1 if the broker answers", value=1)
    yield GaugeMetricFamily("tasks_broker_used_bytes", "Memory the broker uses", value=fullness.used)
    yield GaugeMetricFamily("tasks_broker_limit_bytes", "Memory it may use; 0 is no limit", value=fullness.limit)
    yield GaugeMetricFamily("tasks_broker_evicts", "1 if it would delete messages", value=int(fullness.evicts))


def _tasks() -> Iterator[Metric]:
    tasks = recent_throughput()
    yield _gauge("tasks_recent_sent", "Runs sent in the past hour", "task", {t.task: t.sent for t in tasks})
    succeeded = {t.task: t.succeeded for t in tasks}
    yield _gauge("tasks_recent_succeeded", "Runs that succeeded in the past hour", "task", succeeded)
    failing = {t.task: t.failing for t in tasks}
    yield _gauge("tasks_recent_failing", "Runs of the past hour with a failed attempt", "task", failing)
    dead: dict[str, float] = {}
    for group in failure_groups():
        dead[group.task] = dead.get(group.task, 0) + group.runs
    yield _gauge("tasks_dead", "Dead runs that need attention", "task", dead)


def _schedules() -> Iterator[Metric]:
    report = lateness_report()
    yield GaugeMetricFamily("schedules_overdue", "Schedules that should have fired", value=len(report.overdue))
    yield GaugeMetricFamily("schedules_failing", "Schedules that cannot be sent", value=len(report.failing))
    yield GaugeMetricFamily(
        "schedules_worst_lateness_seconds", "The greatest lateness of a tick in the past hour", value=report.worst
    )
    yield _gauge("schedules_recent_ticks", "Ticks of the past hour", "outcome", report.outcomes)


def _gauge(name: str, what: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, f"{what}.", labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
