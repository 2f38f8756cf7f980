"""The notifications' background work."""

from datetime import date, timedelta

from django.conf import settings
from django.db import transaction

from notifications import digest, welcome
from notifications.schemas import Digested, DigestResult, DigestStarted, WelcomeResult
from project.mail.tasks import LONGEST_BACKOFF, RETRIES, mail, send_letter
from project.names import TaskName
from project.tasks import Batch, Outcome, current_run, task, uuid7

#: A digest of a week that is over says nothing new.
_WEEK = timedelta(days=6)


@task(TaskName.NOTIFICATIONS_SEND_WELCOME_EMAIL, max_retries=10)
def send_welcome_email(*, user_id: int) -> WelcomeResult:
    """Welcome a user who has signed up."""
    # One transaction: a crash leaves neither a second welcome nor a user who gets none.
    with transaction.atomic():
        letter = welcome.write_welcome(user_id=user_id)
        if isinstance(letter, str):
            return WelcomeResult(sent=False, reason=letter)
        send_letter(letter)
    return WelcomeResult(sent=True)


@task(TaskName.NOTIFICATIONS_SEND_WEEKLY_DIGEST, queue="digest", unique=True)
def send_weekly_digest() -> DigestStarted:
    """Send everybody who wants it a digest of their todos; run twice in a week it reaches those it has not yet."""
    week, members, batches = digest.this_week(), 0, []
    for user_ids in digest.parts(digest.readers(week)):
        calls = [send_digest.call(user_id=user_id, week=week) for user_id in user_ids]
        batch = Batch.send(calls, then=finish_weekly_digest, name=f"Digest of {week}")
        members += len(calls)
        batches.append(batch.id)
    return DigestStarted(week=week, members=members, batches=batches)


@task(
    TaskName.NOTIFICATIONS_SEND_DIGEST,
    queue="digest",
    max_retries=RETRIES,
    max_backoff=LONGEST_BACKOFF,
    expires=_WEEK,
    rate_limit=settings.DIGEST_RATE_LIMIT,
)
def send_digest(*, user_id: int, week: date) -> Digested:
    """Mail one user their digest; by itself, so that its outcome is what became of the mail."""
    run = current_run()
    letter = digest.write_digest(user_id=user_id, week=week, run_id=run.run_id if run else uuid7())
    if letter is None:
        return "skipped"
    mail(letter)
    return "sent"


@task(TaskName.NOTIFICATIONS_FINISH_WEEKLY_DIGEST, queue="digest")
def finish_weekly_digest(outcomes: list[Outcome[Digested]]) -> DigestResult:
    """Add up what became of everybody's digest."""
    return digest.count(outcome.result for outcome in outcomes)
