"""One or two real schedulers: down over a fire time, edited, stopped, hanging, told to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now

from project.tasks.models import TaskRun
from scheduler.models import Schedule, Tick
from tests.acceptance.processes import ROOT, Service
from tests.eventually import eventually
from tests.people import a_user
from todo.services import create_todo


def wait_until(moment: float) -> None:
    """Wait for a moment of the chaos: here the length of an outage is what is tested."""
    time.sleep(max(0.0, moment - time.monotonic()))


@pytest.fixture
def no_schedules(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without the declared schedules; a scheduler that starts declares them again, due in the future."""
    Schedule.objects.all().delete()


def nightly(*, hour: int = 2) -> Schedule:
    return Schedule.objects.create(name="nightly", task="ping", cron=f"0 {hour} * * *", time_zone="UTC")


def ticks(name: str) -> list[Tick]:
    return list(Tick.objects.filter(name=name).order_by("fire_time"))


@pytest.mark.long
def test_a_scheduler_that_was_down_over_two_o_clock_sends_it_once_at_start(
    service: Service, no_schedules: None
) -> None:
    row = nightly()
    service.scheduler().terminate()
    waiting = Schedule.objects.get(id=row.id).next_fire_at
    assert waiting is not None
    missed = waiting - timedelta(days=1)
    Schedule.objects.filter(id=row.id).update(next_fire_at=missed)

    service.scheduler().terminate()
    service.scheduler().terminate()

    assert [(tick.fire_time, tick.outcome) for tick in ticks("nightly")] == [(missed, Tick.Outcome.CAUGHT_UP)]
    assert TaskRun.objects.filter(schedule="nightly").count() == 1
    assert Schedule.objects.get(id=row.id).next_fire_at == waiting


def test_a_cleanup_that_is_due_is_sent_by_the_clock_and_done_by_a_worker(service: Service) -> None:
    ada = a_user("ada")
    for number in range(3):
        create_todo(user=ada, title=f"todo {number}", completed=number < 2)
    service.worker()
    Schedule.objects.filter(name="todo cleanup").update(next_fire_at=Now())
    service.scheduler()
    runs = TaskRun.objects.filter(schedule="todo cleanup", state=TaskRun.State.SUCCEEDED)
    results = eventually(lambda: list(runs.values_list("result", flat=True)))
    assert [result["todos_deleted"] for result in results if result] == [2]


def test_an_edit_by_sql_takes_effect_within_five_seconds(service: Service, no_schedules: None) -> None:
    row = nightly()
    service.scheduler()
    before = eventually(lambda: Schedule.objects.get(id=row.id).next_fire_at)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduler_schedule SET cron = '0 5 * * *' WHERE name = 'nightly'")
    after = eventually(lambda: Schedule.objects.get(id=row.id).next_fire_at, timeout=6)
    assert after is not None
    assert (before != after, after.hour) == (True, 5)


def due_soon(count: int, *, every: timedelta, start: timedelta = timedelta(seconds=1)) -> None:
    """Schedules that are due one after the other, and then never again while the test lasts."""
    Schedule.objects.bulk_create(
        Schedule(name=f"soon {n}", task="ping", cron="0 0 1 1 *", next_fire_at=Now() + start + n * every)
        for n in range(count)
    )


def test_sigterm_ends_it_within_two_seconds_and_no_tick_is_lost(service: Service, no_schedules: None) -> None:
    scheduler = service.scheduler()
    due_soon(60, every=timedelta(milliseconds=50))
    eventually(lambda: Tick.objects.filter(name__startswith="soon").count() >= 20)
    asked = time.monotonic()
    assert scheduler.terminate() == 0
    assert time.monotonic() - asked < 2
    assert Tick.objects.filter(name__startswith="soon").count() < 60

    service.scheduler()
    eventually(lambda: Tick.objects.filter(name__startswith="soon").count() == 60)
    assert TaskRun.objects.filter(schedule__startswith="soon").count() == 60


SLOW_INSERT = """
CREATE OR REPLACE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
CREATE TRIGGER be_slow BEFORE INSERT ON scheduler_tick FOR EACH ROW
WHEN (NEW.name = 'held') EXECUTE FUNCTION be_slow();
"""


@pytest.fixture
def slow_insert(service: Service) -> Iterator[None]:
    """Make the claim of the schedule "held" take a second, so that its process can be stopped in the middle of it."""
    with connection.cursor() as cursor:
        cursor.execute(SLOW_INSERT)
    yield
    service.end()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER be_slow ON scheduler_tick; DROP FUNCTION be_slow()")


def claim_holder() -> int:
    """The process that is inside the slow claim now, or 0."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(application_name, ':', 2) FROM pg_stat_activity"
            " WHERE application_name LIKE 'runscheduler %%' AND wait_event = 'PgSleep'"
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@pytest.mark.long
def test_others_go_on_while_the_holder_of_a_claim_is_stopped(
    service: Service, no_schedules: None, slow_insert: None
) -> None:
    schedulers = [service.scheduler() for _ in range(2)]
    due_soon(8, every=timedelta(milliseconds=500), start=timedelta(seconds=6))
    Schedule.objects.create(name="held", task="ping", cron="0 0 1 1 *", next_fire_at=Now())
    holder = eventually(claim_holder, timeout=6, every=0.005)
    stopped = time.monotonic()
    os.kill(holder, signal.SIGSTOP)
    try:
        eventually(lambda: ticks("held"), timeout=10)
        assert Tick.objects.get(name="held").sender.endswith(f":{holder}") is False
        eventually(lambda: Tick.objects.filter(name__startswith="soon").count() == 8, timeout=15)
        wait_until(stopped + 10)
    finally:
        os.kill(holder, signal.SIGCONT)
    late = Tick.objects.filter(name__startswith="soon", lateness__gt=timedelta(seconds=2))
    assert not late.exists()
    stopped_one = next(running for running in schedulers if running.pid == holder)
    eventually(lambda: "database_away" in stopped_one.output)
    assert Schedule.objects.get(name="held").error == ""
    assert TaskRun.objects.filter(schedule="held").count() == len(ticks("held")) == 1
    twice = TaskRun.objects.exclude(schedule="").values("schedule").annotate(count=Count("id")).filter(count__gt=1)
    assert not twice.exclude(schedule="ping").exists()
    assert [running.terminate() for running in schedulers] == [0, 0]


def python(code: str, service: Service) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with Django set up."""
    setup = "import django; django.setup()\nfrom scheduler import process, timer\nfrom scheduler.process import *\n"
    return subprocess.run(
        [sys.executable, "-c", setup + code],
        env={**os.environ, **service.environment, "DJANGO_SETTINGS_MODULE": "project.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_loop_that_dies_ends_the_process_with_an_error(service: Service) -> None:
    done = python(
        "class Broken(timer.BlockingScheduler):\n"
        "    def _process_jobs(self): raise RuntimeError('the loop died')\n"
        "timer.BlockingScheduler = Broken\n"
        "SchedulerProcess().run()",
        service,
    )
    assert done.returncode != 0
    assert "the loop died" in done.stderr


def test_a_loop_that_ends_by_itself_ends_the_process_with_an_error(service: Service) -> None:
    done = python("timer.BlockingScheduler.start = lambda self: None\nSchedulerProcess().run()", service)
    assert done.returncode == 70
    assert "clock_ended" in done.stderr


def test_a_loop_that_stalls_ends_the_process_with_an_error(service: Service) -> None:
    done = python(
        "import threading\n"
        "timer.Clock.sweep = lambda self: threading.Event().wait()\n"
        "timer.Watchdog.__init__.__kwdefaults__['every'] = 0.01\n"
        "SchedulerProcess().run()",
        service,
    )
    assert done.returncode == 70
    assert "clock_stalled" in done.stderr


def test_a_hanging_database_does_not_keep_it_from_stopping(service: Service) -> None:
    done = python(
        "import threading, os, time\n"
        "def hang(self):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    threading.Event().wait()\n"
        "timer.Clock.sweep = hang\n"
        "SchedulerProcess().run()",
        service,
    )
    assert done.returncode == 0
    assert "stopped_hard" in done.stderr
