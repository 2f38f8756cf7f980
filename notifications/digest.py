"""The weekly digest: who gets one, what is in it, and that nobody gets two in a week."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from notifications.schemas import Digested, DigestResult
from notifications.subscriptions import unsubscribe_url
from project.mail.letters import Letter, write_letter
from todo.models import Todo
from users.models import User

#: What was completed so long ago is told of.
LATELY = timedelta(days=7)
#: A digest lists so many todos of a kind, and says how many more there are.
MOST_LISTED = 20
#: Users are read in pieces of this many, so that memory does not hold what the database sends of them.
_PIECE = 2_000
#: So many people are one batch at most, so that memory is bounded however many there are: 100,000 take 120 MB while
#: they are sent, in 9 s, and 65 MB in the callback.
MOST_MEMBERS = 100_000


def this_week() -> date:
    """Return the Monday of the week that it is here."""
    today = timezone.localdate()
    return today - timedelta(days=today.weekday())


def readers(week: date) -> Iterator[int]:
    """Yield the ids of the users who should get a week's digest and have not.

    Args:
        week: The Monday of the week.
    """
    worth_telling = Todo.objects.filter(_open() | _completed_lately(), user=OuterRef("pk"))
    users = _who_want_it().filter(_has_none(week)).filter(Exists(worth_telling))
    return users.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=_PIECE)


def parts(user_ids: Iterator[int]) -> Iterator[list[int]]:
    """Yield users in parts of `MOST_MEMBERS` at most; of nobody, one empty part, so that this is counted, too."""
    yield list(islice(user_ids, MOST_MEMBERS))
    while part := list(islice(user_ids, MOST_MEMBERS)):
        yield part


def write_digest(*, user_id: int, week: date, run_id: UUID) -> Letter | None:
    """Return a user's digest of a week, or nothing if they should get none.

    Whoever asks first has it: it is marked as that run's before any mail server hears of it. So no other run mails it
    again, however the first one ends, and that one may try again.

    Args:
        user_id: Whose digest; they may be gone.
        week: The Monday of the week.
        run_id: The run that mails it.
    """
    user = _who_want_it().filter(pk=user_id).first()
    content = _content(user_id)
    if user is None or content.is_empty:
        return None
    free = _who_want_it().filter(_has_none(week) | Q(digest_week=week, digest_run=run_id), pk=user_id)
    if not free.update(digest_week=week, digest_run=run_id):
        return None
    return write_letter(
        "notifications/digest",
        to=user.email,
        subject=f"Your week: {content.open_count} open, {content.completed_count} completed",
        unsubscribe_url=unsubscribe_url(user_id),
        name=user.first_name or user.username,
        content=content,
    )


def count(outcomes: Iterable[Digested | None]) -> DigestResult:
    """Add up what became of a week's digests.

    Args:
        outcomes: One for each person; None for those whose run failed.
    """
    counts: dict[str | None, int] = {}
    for outcome in outcomes:
        counts[outcome] = counts.get(outcome, 0) + 1
    return DigestResult(sent=counts.get("sent", 0), skipped=counts.get("skipped", 0), failed=counts.get(None, 0))


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a digest tells.

    Args:
        open: Todos that are open, those that are due first; `MOST_LISTED` at most.
        open_count: How many there are in all.
        completed: Todos that were completed lately, the last first; `MOST_LISTED` at most.
        completed_count: How many there are in all.
    """

    open: list[Todo]
    open_count: int
    completed: list[Todo]
    completed_count: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.open_count and not self.completed_count


def _content(user_id: int) -> Content:
    todos = Todo.objects.filter(user=user_id)
    still_open, completed = todos.filter(_open()), todos.filter(_completed_lately())
    return Content(
        open=_some(still_open.order_by(F("due_at").asc(nulls_last=True), "-id")),
        open_count=still_open.count(),
        completed=_some(completed.order_by("-updated_at")),
        completed_count=completed.count(),
    )


def _some(todos: QuerySet[Todo]) -> list[Todo]:
    return list(todos[:MOST_LISTED])


def _who_want_it() -> QuerySet[User]:
    return User.objects.filter(is_active=True, weekly_digest=True).exclude(email="")


def _has_none(week: date) -> Q:
    return Q(digest_week=None) | Q(digest_week__lt=week)


def _open() -> Q:
    return Q(completed=False)


def _completed_lately() -> Q:
    return Q(completed=True, updated_at__gte=timezone.now() - LATELY)
