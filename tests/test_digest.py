"""The weekly digest goes to those who have something to read and want it, once a week."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core import mail as outgoing
from django.utils import timezone
from dramatiq.worker import Worker

from notifications import digest
from notifications.schemas import DigestResult
from project.registry import registry
from project.tasks.models import TaskRun
from tests.eventually import eventually
from tests.people import a_user
from todo.models import Todo
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db

MONDAY = date(2026, 11, 16)


def somebody(title: str = "Water the plants", **columns: Any) -> User:
    """Create a user who has an open todo."""
    user = a_user(**columns)
    create_todo(user=user, title=title)
    return user


def send(user: User, week: date = MONDAY) -> str:
    return registry.notifications_send_digest(user_id=user.pk, week=week)


def results() -> list[DigestResult]:
    ended = TaskRun.objects.filter(task="notifications.finish_weekly_digest", state="succeeded").order_by("id")
    return [DigestResult.model_validate(result) for result in ended.values_list("result", flat=True)]


def readers() -> set[int]:
    return set(digest.readers(MONDAY))


def test_a_digest_tells_what_is_open_and_what_was_completed_lately() -> None:
    user = somebody("Buy <milk>")
    create_todo(user=user, title="Due", due_at=timezone.now() + timedelta(days=1))
    create_todo(user=user, title="Done & dusted", completed=True)
    old = create_todo(user=user, title="Long ago", completed=True)
    Todo.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(days=8))

    assert send(user) == "sent"
    (mail,) = outgoing.outbox
    assert mail.subject == "Your week: 2 open, 1 completed"
    text, html = str(mail.body), str(mail.alternatives[0][0])  # type: ignore[attr-defined]
    assert text.index("Due (due ") < text.index("- Buy <milk>") < text.index("- Done & dusted")
    assert "Buy &lt;milk&gt;" in html
    assert "Done &amp; dusted" in html
    assert "Long ago" not in text + html


def test_a_digest_lists_so_many_todos_and_says_that_there_are_more() -> None:
    user = a_user()
    Todo.objects.bulk_create(Todo(user=user, title=f"todo {number}") for number in range(30))
    send(user)
    text = str(outgoing.outbox[0].body)
    assert (text.count("- todo"), "Open: 30" in text, "… and more" in text) == (digest.MOST_LISTED, True, True)


def test_a_digest_can_be_stopped_by_mail_programs_and_by_its_text() -> None:
    send(somebody())
    (mail,) = outgoing.outbox
    url = mail.extra_headers["List-Unsubscribe"].strip("<>")
    assert url.startswith("http://127.0.0.1:8000/digest/unsubscribe?token=")
    assert mail.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert url in mail.body


def test_digests_are_for_active_users_with_something_to_read_who_want_them() -> None:
    open_, done = somebody(), a_user()
    create_todo(user=done, title="done", completed=True)
    somebody(is_active=False)
    somebody(weekly_digest=False)
    somebody(digest_week=MONDAY)
    a_user()
    User.objects.filter(pk=somebody().pk).update(email="")
    last_week = somebody(digest_week=MONDAY - timedelta(days=7))
    assert readers() == {open_.pk, done.pk, last_week.pk}


def test_nobody_gets_two_digests_in_a_week_and_everybody_the_next_ones() -> None:
    user = somebody()
    assert [send(user), send(user), send(user, MONDAY + timedelta(days=7)), send(user)] == [
        "sent",
        "skipped",
        "sent",
        "skipped",
    ]
    assert len(outgoing.outbox) == 2


@pytest.mark.parametrize("columns", [{"is_active": False}, {"weekly_digest": False}, {"email": ""}])
def test_who_wants_none_any_more_is_skipped_though_the_run_is_on_its_way(columns: dict[str, Any]) -> None:
    user = somebody()
    User.objects.update(**columns)
    assert (send(user), outgoing.outbox) == ("skipped", [])


def test_who_is_gone_or_has_nothing_to_read_any_more_is_skipped() -> None:
    user = somebody()
    Todo.objects.all().delete()
    assert send(user) == "skipped"
    User.objects.all().delete()
    assert send(user) == "skipped"


@pytest.mark.django_db(transaction=True)
def test_a_digest_that_is_tried_again_is_the_same_run_s_and_goes_out(worker: Worker, settings: Any) -> None:
    user = somebody()
    run = TaskRun.objects.create(
        task="notifications.send_digest", queue="digest", arguments={"user_id": user.pk, "week": str(MONDAY)}
    )
    User.objects.update(digest_week=MONDAY, digest_run=run.id)
    eventually(lambda: TaskRun.objects.get(id=run.id).state == "succeeded")
    (mail,) = outgoing.outbox
    assert mail.extra_headers["Message-ID"] == f"<{run.id}@localhost>"


@pytest.mark.django_db(transaction=True)
def test_run_twice_in_a_week_it_mails_nobody_twice_and_counts_everybody(worker: Worker) -> None:
    for _ in range(3):
        somebody()
    first = registry.notifications_send_weekly_digest.send().result(timeout=10)
    eventually(lambda: len(results()) == 1)
    late = somebody()
    second = registry.notifications_send_weekly_digest.send().result(timeout=10)
    eventually(lambda: len(results()) == 2)

    assert (first.members, second.members, first.week) == (3, 1, digest.this_week())
    assert results() == [DigestResult(sent=3, skipped=0, failed=0), DigestResult(sent=1, skipped=0, failed=0)]
    assert len({mail.to[0] for mail in outgoing.outbox}) == len(outgoing.outbox) == 4
    assert late.email in outgoing.outbox[-1].to


def test_very_many_people_are_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_MEMBERS", 2)
    for _ in range(5):
        somebody()
    started = registry.notifications_send_weekly_digest()
    assert (started.members, len(started.batches)) == (5, 3)
    assert TaskRun.objects.filter(task="notifications.send_digest").count() == 5


def test_outcomes_are_added_up() -> None:
    assert digest.count(["sent", "skipped", None, "sent", None]) == DigestResult(sent=2, skipped=1, failed=2)


def test_the_week_begins_on_the_services_monday(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"
    sunday_in_utc = datetime(2026, 11, 15, 20, 0, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: sunday_in_utc)
    assert digest.this_week() == MONDAY
