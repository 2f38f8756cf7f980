"""What goes out of the notifications' tasks."""

from datetime import date
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict

#: What became of one person's digest. A word, because a hundred thousand of them are read at once.
Digested: TypeAlias = Literal["sent", "skipped"]


class WelcomeResult(BaseModel):
    """What became of a welcome.

    Args:
        sent: Whether a mail was handed over.
        reason: Why not, if not.
    """

    model_config = ConfigDict(frozen=True)

    sent: bool
    reason: str = ""


class DigestStarted(BaseModel):
    """Which digests are on their way.

    Args:
        week: The Monday of the week.
        members: How many people may get one.
        batches: The batches with a run for each of them: one, unless there are very many.
    """

    model_config = ConfigDict(frozen=True)

    week: date
    members: int
    batches: list[UUID]


class DigestResult(BaseModel):
    """What became of a week's digests, in people.

    Args:
        sent: The mail server took theirs.
        skipped: They have nothing to read, do not want it, are gone, or have it already.
        failed: Their runs are dead; an operator may retry them.
    """

    model_config = ConfigDict(frozen=True)

    sent: int
    skipped: int
    failed: int
