"""Ways to send that Dramatiq or Celery has and that would lose what ours promises: each names ours."""

from __future__ import annotations

from typing import Any, Final

from project.tasks.errors import OtherWayError

PLAIN: Final = ".send(…)"
WITH_OPTIONS: Final = ".using(delay=…, expires=…, queue=…, priority=…).send(…)"
COMPOSED: Final = ".call(…) in chain(first.call(…), second), Batch.send([…], then=…) or send_many([…])"


class Refused:
    """An attribute that raises when it is looked up, and that type checkers do not let anybody call.

    Args:
        instead: What to write.
    """

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn what it is called."""
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> object:
        """Say what to write instead.

        Raises:
            OtherWayError: Always, but on the class.
        """
        if instance is None:
            return self
        raise OtherWayError(instance.actor_name, self._name, self._instead)
