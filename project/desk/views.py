"""The operations page: everything an operator asks first, on one page."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache

from project.broker.fullness import alarms
from project.desk.admin.addresses import address_of
from project.desk.admin.elements import moment
from project.desk.admin.read_only import may_repair, require_look
from project.desk.failures import failure_groups
from project.desk.overview import MOST_COUNTED, QueueNow, living_workers, queues_now
from project.desk.schedules import schedules_now
from project.desk.throughput import MOST_READ, TaskThroughput, recent_throughput
from project.tasks.models import BulkRetry, Worker
from project.values.text import took
from scheduler.models import Schedule

#: Kinds of failure on the page; the failures page has more.
MOST_GROUPS = 10


@never_cache
def operations(request: HttpRequest) -> HttpResponse:
    """Show queues, workers, throughput, schedules and failures: eight queries, however many rows there are."""
    require_look(request)
    queues, workers, tasks = queues_now(), list(living_workers()), recent_throughput()
    schedules = schedules_now()
    context = {
        **admin.site.each_context(request),
        "title": "Operations",
        "may_repair": may_repair(request),
        "queues": [(queue, moment(queue.oldest)) for queue in queues],
        "workers": [(worker, moment(worker.started_at)) for worker in workers],
        "tasks": [(task, took(task.median), took(task.slowest)) for task in tasks],
        "schedules": [(row, _next(row.schedule), moment(row.schedule.last_fire_at)) for row in schedules],
        "groups": [
            (group, address_of(group.filter), moment(group.died_at)) for group in failure_groups(groups=MOST_GROUPS)
        ],
        "bulk_retries": BulkRetry.objects.filter(finished_at=None),
        "tiles": _tiles(queues, workers, tasks, late=sum(1 for row in schedules if row.is_late)),
        "broker_alarms": alarms(),
        "most_counted": f"{MOST_COUNTED:,}",
        "most_read": f"{MOST_READ:,}",
    }
    return TemplateResponse(request, "desk/operations.html", context)


def _next(schedule: Schedule) -> str:
    return moment(schedule.next_fire_at) if schedule.enabled else "-"


def _tiles(
    queues: list[QueueNow], workers: list[Worker], tasks: list[TaskThroughput], *, late: int
) -> list[tuple[int, str, bool]]:
    """Return the numbers at the top: value, what it counts, whether it is alarming."""
    consumers = sum(worker.kind == Worker.Kind.WORKER for worker in workers)
    clocks = sum(worker.kind == Worker.Kind.SCHEDULER for worker in workers)
    dead = sum(task.dead for task in tasks)
    return [
        (sum(queue.waiting for queue in queues), "waiting", any(queue.is_unattended for queue in queues)),
        (sum(queue.running for queue in queues), "running", False),
        (sum(task.succeeded for task in tasks), "succeeded (past hour)", False),
        (dead, "dead (past hour)", bool(dead)),
        (consumers, "workers alive", not consumers),
        (clocks, "schedulers alive", not clocks),
        (late, "schedules late", bool(late)),
    ]
