"""What a JSON document or PostgreSQL cannot hold is refused with a sentence, and costs nobody a transaction."""

import math
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from pydantic import BaseModel, ConfigDict

from project.broker.broker import ServiceBroker
from project.tasks.batches import Batch
from project.tasks.errors import PermanentError, TaskArgumentError
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.running.context import current_run, running_as
from project.tasks.running.execution import storable
from project.tasks.sending.cause import Cause
from project.tasks.signature import TaskSignature
from tests import tasks_for_tests as tasks
from tests.runs import a_claim


class Point(BaseModel):
    """A model that leaves NaN to pydantic, which makes it null."""

    x: float
    note: str | None = None


class Spelled(Point):
    """A model that spells NaN."""

    model_config = ConfigDict(ser_json_inf_nan="strings")


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


BAD = {
    "a NUL": "a\x00b",
    "a lone surrogate": "\ud800",
    "a NUL in a name": {"a\x00": 1},
    "a surrogate in a name": {"\udfff": 1},
    "NaN": math.nan,
    "infinity": [{"a": -math.inf}],
    "NaN in a model": Point(x=math.nan),
    "NaN beside null": [None, math.nan],
    "no JSON at all": object(),
    "a number without end": 10**5000,
}
UNREADABLE = {"a list in lists": deep(230)}
GOOD = {
    "emoji": "😀 \\u0000 NaN",
    "words": ["null", "NaN", "Infinity", None],
    "names": {"null": None, "\\u0000": "\\ud800"},
    "a large number": 10**40,
}


@pytest.mark.parametrize("what", [*BAD, *UNREADABLE])
def test_an_argument_that_cannot_be_stored_is_refused_and_the_transaction_lives(
    db: None, broker: ServiceBroker, what: str
) -> None:
    with transaction.atomic():
        with pytest.raises(TaskArgumentError, match=r"tests\.anything"):
            tasks.anything.send(value=(BAD | UNREADABLE)[what])
        assert not TaskRun.objects.exists()


@pytest.mark.parametrize("what", GOOD)
def test_an_argument_that_only_looks_like_one_is_kept_as_it_is(db: None, broker: ServiceBroker, what: str) -> None:
    run_id = tasks.anything.send(value=GOOD[what]).run_id
    assert TaskRun.objects.get(id=run_id).arguments == {"value": GOOD[what]}


@pytest.mark.parametrize("what", BAD)
def test_a_result_that_cannot_be_stored_is_a_permanent_error_that_says_why(what: str) -> None:
    with pytest.raises(PermanentError, match=r"NUL|Unicode|surrogate|NaN|JSON|serialize|out of range"):
        storable(tasks.anything.declaration, BAD[what])


def test_a_result_in_which_a_model_spells_what_is_no_number_reads_back() -> None:
    def fn() -> Spelled:
        return Spelled(x=math.inf)

    signature = TaskSignature(name="t", fn=fn)
    assert signature.result_to_json(fn()) == '{"x":"Infinity","note":null}'


def test_foreign_names_and_notes_are_made_storable(db: None) -> None:
    Batch.send([], name="Import \udce4" + "x" * 200)
    assert TaskBatch.objects.get().name.startswith("Import \\udce4xx")
    tasks.add.using(cause=Cause(request_id="r\x00" * 50)).send(1)
    assert TaskRun.objects.filter(request_id__startswith="r\\x00r").count() == 1


def test_progress_is_a_number_and_its_note_text(db: None) -> None:
    claim = a_claim()
    with running_as(claim, time_limit=timedelta(minutes=1), give_up=list):
        run = current_run()
        assert run is not None
        run.report_progress(math.nan, "\ud800" * 300)
    kept = TaskRun.objects.get(id=claim.run_id)
    assert (kept.progress, kept.progress_note[:6], len(kept.progress_note)) == (0, "\\ud800", 200)


@pytest.mark.parametrize("options", [{"queue": "a\x00"}, {"queue": "x" * 101}, {"priority": 40_000}])
def test_options_that_no_row_has_room_for_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"queue|priority"):
        tasks.add.using(**options)
