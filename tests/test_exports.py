"""What exports hold, how they fare when things go wrong, and how they go."""

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from project.values.ids import uuid7
from reports import files
from reports.errors import NothingToExportError, TooLongForPdfError
from reports.models import Export
from reports.pruning import prune_exports
from reports.schemas import ExportFormat, ExportResult, PruneExportsResult
from reports.services import check_export, export_todos
from reports.text_formats import harmless
from tests.exports import a_busy_user, directory, fill, made, names
from tests.people import a_user
from todo.models import Todo
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db

EVIL = '=HYPERLINK("http://evil.example","x")'


@pytest.fixture(autouse=True)
def own_directory(settings: Any, tmp_path: Path) -> None:
    """Keep the exports of this test by themselves."""
    settings.EXPORTS_DIRECTORY = tmp_path / "exports"
    options = {"location": settings.EXPORTS_DIRECTORY, "file_permissions_mode": 0o600}
    exports = {"BACKEND": "reports.storage.ExportDirectory", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "exports": exports}


def content() -> bytes:
    (name,) = names()
    return (directory() / name).read_bytes()


def csv_rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content().decode("utf-8-sig"))))


def test_csv_has_every_todo_of_the_user_once_newest_first_and_nobody_elses() -> None:
    user = a_busy_user(todos=12_003)
    a_busy_user(todos=5)
    result = made(user)
    expected = Todo.objects.filter(user=user).order_by("-created_at", "-id").values_list("id", flat=True)
    assert [int(row["id"]) for row in csv_rows()] == list(expected)
    assert (result.rows, result.bytes) == (12_003, len(content()))


def test_csv_keeps_texts_whole_and_harmless() -> None:
    user = a_user()
    create_todo(user=user, title=EVIL, description='two\nlines, "quoted"', completed=True)
    made(user)
    (row,) = csv_rows()
    assert (row["title"], row["description"], row["completed"]) == (f"'{EVIL}", 'two\nlines, "quoted"', "true")
    assert row["due_at"] == ""
    assert content().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_spreadsheet_takes_a_text_for_a_formula(begin: str) -> None:
    assert harmless(f"{begin}1") == f"'{begin}1"
    assert harmless(f"1{begin}") == f"1{begin}"


def test_json_lines_have_texts_as_they_are() -> None:
    user, due_at = a_user(), timezone.now() + timedelta(days=1)
    create_todo(user=user, title=EVIL, description="Grüße 🌱\n日本", due_at=due_at)
    made(user, "jsonl")
    todo = json.loads(content().decode())
    assert (todo["title"], todo["description"], todo["completed"]) == (EVIL, "Grüße 🌱\n日本", False)
    assert todo["due_at"] == due_at.isoformat(timespec="microseconds")
    assert abs(datetime.fromisoformat(todo["created_at"]) - timezone.now()) < timedelta(minutes=1)


def test_a_pdf_is_made_of_any_text() -> None:
    user = a_user()
    for title in ("Ελληνικά Кириллица", "日本 🌱 \u202e", "שלום مرحبا", "x" * 200, "\x07 **bold** <b>"):
        create_todo(user=user, title=title, description=title * 3, due_at=timezone.now() + timedelta(days=1))
    assert made(user, "pdf").rows == 5
    assert content().startswith(b"%PDF-")
    assert content().rstrip().endswith(b"%%EOF")


def test_a_pdf_of_too_many_todos_is_refused() -> None:
    user = a_busy_user(todos=5_001)
    with pytest.raises(TooLongForPdfError, match="at most 5,000 todos"):
        check_export(user_id=user.pk, kind="pdf")
    with pytest.raises(TooLongForPdfError):
        made(user, "pdf")
    check_export(user_id=user.pk, kind="csv")
    assert names() == set()


def test_there_is_nothing_to_export_of_somebody_without_todos() -> None:
    with pytest.raises(NothingToExportError):
        check_export(user_id=a_user().pk, kind="csv")


def test_progress_is_told_until_all_is_read() -> None:
    told: list[tuple[float, str]] = []
    made(a_busy_user(todos=10_001), report=lambda fraction, note: told.append((round(fraction, 2), note)))
    assert told == [(0.5, "5,000 of 10,001 todos"), (1.0, "10,000 of 10,001 todos"), (1.0, "10,001 of 10,001 todos")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "pdf"])
def test_a_second_attempt_changes_nothing(kind: ExportFormat) -> None:
    user, export_id = a_busy_user(todos=3), uuid7()
    first = made(user, kind, export_id=export_id)
    before = (content(), Export.objects.values().get())
    fill(user, todos=2)
    assert made(user, kind, export_id=export_id) == first
    assert (content(), Export.objects.values().get()) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_whatever_ends_an_export_half_way_nothing_is_left(error: BaseException) -> None:
    def fail(fraction: float, note: str) -> None:
        if fraction > 0.5:
            raise error

    user = a_busy_user(todos=10_000)
    with pytest.raises(type(error)):
        made(user, report=fail)
    assert (names(), Export.objects.count()) == (set(), 0)


def test_what_a_killed_attempt_had_copied_is_gone_with_the_next_one() -> None:
    user, export_id = a_busy_user(todos=3), uuid7()
    directory().mkdir(parents=True)
    (directory() / f"{export_id}.csv.{uuid4().hex}.part").write_bytes(b"half")
    (directory() / f"{export_id}.csv").write_bytes(b"complete, but no row was written")
    made(user, export_id=export_id)
    assert names() == {f"{export_id}.csv"}
    assert len(csv_rows()) == 3


def test_nobody_but_the_service_may_read_the_files() -> None:
    made(a_busy_user(todos=1))
    (name,) = names()
    assert ((directory() / name).stat().st_mode & 0o777, directory().stat().st_mode & 0o777) == (0o600, 0o700)


def test_of_a_user_who_is_gone_nothing_is_exported() -> None:
    result = export_todos(user_id=2**40, kind="csv", export_id=uuid7(), report=lambda fraction, note: None)
    assert result == ExportResult(rows=0, bytes=0, url="")
    assert (names(), Export.objects.count()) == (set(), 0)


@pytest.mark.django_db(transaction=True)
def test_a_user_who_goes_during_the_export_leaves_no_file() -> None:
    user = a_busy_user(todos=3)
    result = made(user, report=lambda fraction, note: User.objects.filter(pk=user.pk).delete() and None)
    assert result.url == ""
    assert (names(), Export.objects.count()) == (set(), 0)


def test_files_go_after_their_day_and_rows_a_month_later() -> None:
    made(a_busy_user(todos=1))
    now = timezone.now()
    assert prune_exports(now=now + timedelta(hours=23)) == PruneExportsResult(expired=0, orphans=0)
    assert prune_exports(now=now + timedelta(hours=25)) == PruneExportsResult(expired=1, orphans=0)
    assert (names(), Export.objects.get().name) == (set(), "")
    prune_exports(now=now + timedelta(days=32))
    assert not Export.objects.exists()


def test_what_belongs_to_no_export_goes_when_it_is_a_day_old_and_nothing_of_others() -> None:
    user = a_busy_user(todos=1)
    made(user)
    user.delete()
    left = {f"{uuid4()}.csv.{uuid4().hex}.part", *names()}
    others = {"notes.csv", f"{uuid4()}.txt", f"{uuid4()}.csv.bak"}
    for name in left | others:
        (directory() / name).touch()
    now = timezone.now()
    assert prune_exports(now=now) == PruneExportsResult(expired=0, orphans=0)
    assert prune_exports(now=now + timedelta(hours=25)) == PruneExportsResult(expired=0, orphans=2)
    assert names() == others


def test_a_file_that_cannot_be_deleted_keeps_no_other_and_is_tried_again() -> None:
    for _ in range(2):
        made(a_busy_user(todos=1))
    stuck = directory() / min(names())
    stuck.unlink()
    stuck.mkdir()
    (stuck / "in the way").touch()
    later = timezone.now() + timedelta(days=2)
    assert prune_exports(now=later) == PruneExportsResult(expired=1, orphans=0, errors=1)
    (stuck / "in the way").unlink()
    assert prune_exports(now=later) == PruneExportsResult(expired=1, orphans=0)


def test_there_may_be_no_directory_yet() -> None:
    assert not directory().exists()
    assert files.names() == []
    assert prune_exports() == PruneExportsResult(expired=0, orphans=0)
    assert storages["exports"].exists("x") is False
