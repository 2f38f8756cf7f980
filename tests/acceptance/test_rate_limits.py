"""Limits on how often runs start, over several real processes that are killed."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from project.tasks.models import TaskRun, Worker
from tests.acceptance import tasks
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

pytestmark = pytest.mark.long

#: What a test may take at most: two windows of a minute, and what the deaths of workers cost.
_PATIENCE = 200.0


def kill_some_worker() -> None:
    pids = Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True)
    os.kill(random.choice(eventually(lambda: list(pids.all()), timeout=30)), signal.SIGKILL)


def ended(task: str) -> int:
    return TaskRun.objects.filter(task=task, state__in=TaskRun.ENDED).count()


@pytest.mark.parametrize(
    ("task", "word", "runs"), [(tasks.by_the_second, "second", 150), (tasks.by_the_minute, "minute", 800)]
)
def test_no_window_has_more_starts_than_the_limit_though_workers_are_killed(
    service: Service, tmp_path: Path, task: Any, word: str, runs: int
) -> None:
    limit, seconds = task.policy.rate.limit, task.policy.rate.period.total_seconds()
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    for _ in range(2):
        service.worker(processes=2, threads=4)
    task.send_many([task.call() for _ in range(runs)])
    for share in range(1, 5):
        eventually(lambda share=share: ended(task.actor_name) >= runs * share // 6, timeout=_PATIENCE)  # type: ignore[misc]
        kill_some_worker()
    eventually(lambda: ended(task.actor_name) == runs, timeout=_PATIENCE)
    assert TaskRun.objects.filter(task=task.actor_name, state=TaskRun.State.SUCCEEDED).count() == runs
    starts = sorted(map(float, diary.read(word)))
    assert len(starts) >= runs
    closest = min(later - earlier for earlier, later in zip(starts, starts[limit:], strict=False))
    assert closest >= seconds
    # Nor does it wait for longer than it must: what the limit allows, and what deaths and the last grace cost.
    assert starts[-1] - starts[0] < 3 * seconds * (runs / limit) + 30
