"""The record of what operators do: appended in the same transaction, never changed."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from project.tasks.models import OperatorAction
from project.values.storable import storable

#: What is done to one run.
RUN_ACTIONS: Final = ("retry", "cancel", "discard", "send")
#: Everything that is recorded.
ACTIONS: Final = (
    *RUN_ACTIONS, "retry all", "stop bulk retry", "pause", "resume", "prune",
    "create schedule", "change schedule", "delete schedule", "enable schedule", "disable schedule", "run schedule",
    "reset schedule",
)  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """Who acts.

    Args:
        name: The user's name, the account that runs a command, or what acts by itself.
        source: Where they act from; `system` if nobody does.
    """

    name: str
    source: Literal["admin", "api", "page", "command", "system"]

    @classmethod
    def at_the_command_line(cls) -> Operator:
        """Return the account this process runs as."""
        try:
            return cls(getpass.getuser(), "command")
        except (KeyError, OSError):
            # A container's numeric user need not have a name.
            return cls("unknown", "command")


def record(
    action: str,
    *,
    target: str,
    by: Operator,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append what somebody did.

    Args:
        action: One of `ACTIONS`.
        target: A run's id, a queue's or a schedule's name, or the filter of a bulk action.
        by: Who did it.
        reason: Why, in their words.
        before: What it was, as JSON values.
        after: What it is now.
    """
    OperatorAction.objects.create(
        who=storable(by.name, 150),
        source=by.source,
        action=action,
        target=storable(target, 200),
        before=dict(before or {}),
        after=dict(after or {}),
        reason=storable(reason, 500),
    )
