"""Group commit: threads that want the same thing at the same time share one statement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass
class _Place(Generic[Request, Reply]):
    request: Request
    reply: Reply | None = None
    error: Exception | None = None
    is_served: bool = False


class GroupCommit(Generic[Request, Reply]):
    """Serves requests in groups, without a thread or a delay of its own.

    The first thread that comes serves itself at once. Those that come while it does wait for their turn, and the
    next of them serves all who wait ("flat combining": Hendler, Incze, Shavit and Tzafrir, 2010).

    Args:
        serve: Takes some requests and returns their replies in the same order.
        fail_alone: Errors that one request of a group can cause; each of the group is then served by itself.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Request]], Sequence[Reply]],
        *,
        fail_alone: tuple[type[Exception], ...] = (),
    ) -> None:
        self._serve = serve
        self._fail_alone = fail_alone
        self._turn = threading.Lock()
        self._mutex = threading.Lock()
        self._waiting: list[_Place[Request, Reply]] = []

    def __call__(self, request: Request) -> Reply:
        """Have the request served, alone or with others, and return the reply.

        Raises:
            Exception: What serving the request's group raised.
        """
        place = _Place[Request, Reply](request)
        with self._mutex:
            self._waiting.append(place)
        with self._turn:
            if not place.is_served:
                self._serve_all()
        if place.error is not None:
            raise place.error
        return cast("Reply", place.reply)

    def _serve_all(self) -> None:
        with self._mutex:
            group, self._waiting = self._waiting, []
        try:
            self._serve_group(group)
        except self._fail_alone:
            for place in group:
                self._serve_alone(place)
        except Exception as error:
            for place in group:
                place.error, place.is_served = error, True

    def _serve_alone(self, place: _Place[Request, Reply]) -> None:
        try:
            self._serve_group([place])
        except Exception as error:
            place.error, place.is_served = error, True

    def _serve_group(self, group: Sequence[_Place[Request, Reply]]) -> None:
        replies = self._serve([place.request for place in group])
        for place, reply in zip(group, replies, strict=True):
            place.reply, place.is_served = reply, True
