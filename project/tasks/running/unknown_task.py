"""Tasks that this checkout does not know, as they come to a worker of the old release during a roll-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import dramatiq
from dramatiq.broker import get_broker
from dramatiq.errors import ActorNotFound

from project.tasks.declaration import Declaration
from project.tasks.errors import UnknownTaskError
from project.tasks.policy import Policy
from project.tasks.running.execution import execute, take_delivery
from project.tasks.signature import TaskSignature


class UnknownTask(dramatiq.Actor[..., Any]):
    """Stands in for a task that is not declared, so that its runs wait for a worker that knows it.

    Args:
        name: The task's name.
    """

    def __init__(self, name: str) -> None:
        # Dramatiq's own constructor would declare it.
        self.actor_name, self.queue_name, self.priority = name, "default", 0
        self.broker, self.fn = get_broker(), self
        self.options = {}
        self.policy = Policy()
        self.declaration = Declaration(name=name, policy=self.policy, signature=_NoSignature(name), function=self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take the delivered message.

        Raises:
            UnknownTaskError: If there is none.
        """
        delivery = take_delivery(self.actor_name)
        if delivery is None:
            raise UnknownTaskError(self.actor_name)
        return execute(self.declaration, delivery)

    def message_with_options(self, **options: Any) -> NoReturn:
        """Refuse to make a message, as Dramatiq does for an actor that it cannot find."""
        raise ActorNotFound(self.actor_name)


class _NoSignature(TaskSignature):
    """A signature that fits no arguments."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, fn=_unknown)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return dict(kwargs)

    def from_json(self, arguments: Mapping[str, Any]) -> NoReturn:
        raise UnknownTaskError(self.name)


def _unknown() -> None:
    """Stand in for the function that is not known."""
