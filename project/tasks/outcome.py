"""What became of one run: its value, or the error in its place; a callback asks for those of a batch's members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict

from project.tasks.errors import TaskFailed

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[R_co]):
    """What became of one run.

    Args:
        run_id: The run.
        result: What its task returned; None if it failed.
        error: Why there is no result, and in which state the run is; None if it succeeded.
    """

    run_id: UUID
    result: R_co | None = None
    error: TaskFailed | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    @property
    def value(self) -> R_co:
        """What the task returned.

        Raises:
            TaskFailed: If it failed.
        """
        if self.error is not None:
            raise self.error
        return cast("R_co", self.result)


class Awaited(list[Any]):
    """Stands for outcomes that nobody has yet."""


class Members(BaseModel):
    """What is stored in the place of the outcomes, however many they are.

    Args:
        batch: The batch; None before it is sent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: UUID | None = None


def _stand_in(value: object) -> object:
    if isinstance(value, list) and not isinstance(value, Awaited):
        raise ValueError("a batch gives it: Batch.send(calls, then=the_task)")  # noqa: TRY004 - for pydantic
    return Members() if isinstance(value, Awaited) else value


#: What a parameter is stored as that asks for outcomes.
STORED_MEMBERS = Annotated[Members, BeforeValidator(_stand_in)]


def result_type(hint: object) -> object:
    """Return `R` if a parameter's annotation is `list[Outcome[R]]`; None if it is something else."""
    (member,) = get_args(hint) if get_origin(hint) is list else (None,)
    if member is Outcome:
        return Any
    return get_args(member)[0] if get_origin(member) is Outcome else None
