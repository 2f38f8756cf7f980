"""Times and numbers that nobody means: refused where they come in, and harmless where somebody wrote them by SQL."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from project.broker.broker import ServiceBroker
from project.tasks.models import PausedQueue
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from scheduler.admin.forms import ScheduleForm
from scheduler.models import Schedule
from tests.people import Api, a_user, staff
from tests.runs import a_run

pytestmark = pytest.mark.django_db

#: Valid where they are said; in UTC some of them are in the year 10000, or in the year 0, which nothing can read.
FAR = ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1899-12-31T23:59:59Z"]
#: What SQL can write and Python cannot read.
UNREADABLE = ["infinity", "-infinity", "10000-01-01 09:59:59+00", "0044-03-15 00:00:00+00 BC"]
HUGE = ["9223372036854775808", "-9223372036854775809", "9" * 30, "9" * 5000]


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


@pytest.fixture
def browser() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(a_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("time", [*FAR, 1e15, -1e15, 1e300])
def test_no_queue_is_paused_until_a_time_that_nobody_will_see(time: Any) -> None:
    body = {"reason": "x", "resume_at": time}
    response = Api(staff("change_taskrun")).post("/v1/tasks/queues/default/pause", body)
    assert (response.status_code, response.json()["detail"][0]["loc"][-1]) == (422, "resume_at")
    assert not PausedQueue.objects.exists()


@pytest.mark.parametrize("time", FAR)
@pytest.mark.parametrize("name", ["since", "until"])
def test_no_filter_goes_back_or_ahead_that_far(name: str, time: str) -> None:
    assert Api(staff("view_taskrun")).get("/v1/tasks", **{name: time}).status_code == 422


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01", "1899-12-30"])
@pytest.mark.parametrize("time_zone", ["America/New_York", "Pacific/Kiritimati"])
def test_the_admins_forms_refuse_such_times_too(browser: Client, settings: Any, date: str, time_zone: str) -> None:
    settings.TIME_ZONE = time_zone
    when = {"resume_at_0": date, "resume_at_1": "23:59:59", "date_joined_0": date, "date_joined_1": "00:00:00"}
    pause = {"queue": "default", "reason": "x", **when}
    assert "Ensure this value" in browser.post("/admin/tasks/pausedqueue/pause/", pause).content.decode()
    user = a_user()
    form = {"username": user.username, "email": user.email, "is_active": "on", **when}
    page = browser.post(f"/admin/users/user/{user.pk}/change/", form)
    assert "Ensure this value" in page.content.decode()
    joined = user.date_joined
    user.refresh_from_db()
    assert (user.date_joined, PausedQueue.objects.count()) == (joined, 0)


@pytest.mark.parametrize("lateness", ["99999999 00:00:00", "-1", "-1 00:00:00", "999999999999 00:00:00", "P999999999D"])
def test_a_schedule_refuses_a_lateness_that_is_none(lateness: str) -> None:
    form = {"name": "x", "task": "ping", "cron": "* * * * *", "time_zone": "UTC", "misfire": "skip"}
    assert "max_lateness" in ScheduleForm(form | {"max_lateness": lateness}).errors


@pytest.mark.parametrize(
    "command",
    [
        ("pause", "default", "--reason", "x", "--for", "999999999d"),
        ("send", "tests.add", "left=1", "--delay", "999999d"),
        ("list", "--since", "999999999d"),
        ("prune", "--succeeded-days", "999999"),
        ("prune", "--others-days", "40000"),
    ],
)
def test_the_command_line_refuses_durations_of_centuries(command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="100 years"):
        call_command("tasks", *command)


def test_the_command_line_looks_a_hundred_years_back() -> None:
    a_run()
    call_command("tasks", "list", "--since", "36500d", "--ended-before", "36500d")


@pytest.mark.parametrize("time", UNREADABLE)
def test_a_time_that_only_sql_can_write_breaks_nobodys_pages(browser: Client, time: str) -> None:
    pause_queue("default", by=Operator("grace", "admin"), reason="x")
    run, user = a_run(), a_user()
    schedule = Schedule.objects.create(name="new", task="ping", cron="* * * * *", enabled=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_pausedqueue SET resume_at = %s", [time])
        cursor.execute("UPDATE tasks_taskrun SET run_after = %s, finished_at = %s", [time, time])
        cursor.execute("UPDATE scheduler_schedule SET last_fire_at = %s WHERE id = %s", [time, schedule.id])
        cursor.execute("UPDATE users_user SET date_joined = %s WHERE id = %s", [time, user.pk])
    for path in (
        "/metrics",
        "/admin/operations/",
        "/admin/tasks/pausedqueue/",
        "/admin/tasks/taskrun/",
        f"/admin/tasks/taskrun/{run.id}/change/",
        "/admin/tasks/taskrun/export/",
        "/admin/scheduler/schedule/",
        "/admin/users/user/",
        f"/admin/users/user/{user.pk}/change/",
    ):
        response = browser.get(path)
        assert response.status_code == 200, path
        assert response.getvalue(), path
    api = Api(staff("change_taskrun"))
    assert api.get("/v1/tasks").status_code == 200
    assert api.get("/v1/tasks/queues").status_code == 200
    assert api.get(f"/v1/tasks/{run.id}/details").status_code == 200
    assert api.post("/v1/tasks/queues/default/resume", {}).status_code == 200


@pytest.mark.parametrize(("length", "sign"), [("10000000 years", 1), ("-10000000 years", -1)])
def test_a_duration_that_only_sql_can_write_breaks_nobodys_schedules(browser: Client, length: str, sign: int) -> None:
    schedule = Schedule.objects.create(name="new", task="ping", cron="* * * * *")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduler_schedule SET max_lateness = %s::interval WHERE id = %s", [length, schedule.id])
    for path in ("/metrics", "/admin/operations/", "/admin/scheduler/schedule/"):
        assert browser.get(path).status_code == 200
    assert browser.get(f"/admin/scheduler/schedule/{schedule.id}/change/").status_code == 200
    schedule.refresh_from_db()
    assert schedule.max_lateness == (timedelta.max if sign > 0 else timedelta.min)


@pytest.mark.parametrize("number", HUGE)
def test_a_number_that_no_column_holds_is_refused_or_not_found(number: str) -> None:
    person = staff("view_user", "view_taskrun")
    api = Api(person)
    for path in (f"/v1/users/{number}", f"/v1/todos/{number}", f"/v1/tasks/{number}"):
        assert api.get(path).status_code in (404, 422), path
    for path, name in (("/v1/todos", "limit"), ("/v1/todos", "offset"), ("/v1/tasks", "limit")):
        assert api.get(path, **{name: number}).status_code == 422, path


@pytest.mark.parametrize("number", [*HUGE, "9999"])
def test_the_admin_survives_numbers_that_no_column_holds(browser: Client, number: str) -> None:
    pages = (
        "users/user",
        "users/refreshsession",
        "todo/todo",
        "tasks/taskrun",
        "tasks/operatoraction",
        "scheduler/tick",
    )
    for page in pages:
        for query in ("p", "id__exact", "user__id__exact", "created_at__year", "date_joined__year", "fire_time__year"):
            response = browser.get(f"/admin/{page}/", {query: number})
            assert response.status_code < 500, (page, query)
        assert browser.get(f"/admin/{page}/{number}/change/").status_code < 500, page
