"""Which runs this process holds, each by one message: to be claimed, claimed ahead, or being executed."""

from __future__ import annotations

from uuid import UUID

#: By message id; what belongs to an id tells those apart who ask for it.
_held: dict[str, object] = {}


def hold(message_id: str, *, by: object) -> bool:
    """Hold a run; tell whether nobody else in this process does already.

    Args:
        message_id: The run's id.
        by: Whoever holds it, to be told from all others.
    """
    return _held.setdefault(message_id, by) is by


def let_go(message_id: str) -> None:
    """Hold a run no longer."""
    _held.pop(message_id, None)


def held_runs() -> set[UUID]:
    """Return the runs that this process holds."""
    return {UUID(message_id) for message_id in list(_held)}
