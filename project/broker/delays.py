"""Delayed messages wait in Redis by their time, not in a worker's memory."""

import time
from datetime import timedelta
from typing import Any

from dramatiq import Message
from dramatiq.broker import Broker, MessageProxy
from dramatiq.common import q_name

from project.broker.consumer import MESSAGE_WAIT, THREAD_WAIT, QueueConsumer
from project.broker.delivery import Delivery, Pair

#: Messages parked or moved on at once, and no more: one script holds up everybody who uses Redis.
MOST_DELAYED_TOGETHER = 200
#: Between two looks for due messages: those that are due within this time are moved on together.
DUE_LOOK_AT_MOST_EVERY = timedelta(milliseconds=5)


class DelayConsumer(QueueConsumer):
    """Consumes a delay queue: parks what is new, moves what is due to its real queue, hands out nothing.

    Args:
        queue_name: The delay queue.
        signals: Whose middleware hears of each message that is delayed, and of each that is sent on.
        parts: What `QueueConsumer` takes besides.
    """

    def __init__(self, queue_name: str, *, signals: Broker, **parts: Any) -> None:
        super().__init__(queue_name, **parts)
        self._signals = signals

    def _next(self) -> MessageProxy | None:
        if self._work.closed:
            self._wait_for_stop()
            return None
        self._park(self._take(MOST_DELAYED_TOGETHER))
        if wait := self._move_due():
            self._wait_for_message(wait=max(DUE_LOOK_AT_MOST_EVERY, wait), count=MOST_DELAYED_TOGETHER)
        return None

    def _wait_for_stop(self) -> None:
        self._give_back_awaited()
        self._scripts.beat()
        time.sleep(THREAD_WAIT.total_seconds())

    def _park(self, pairs: list[Pair]) -> None:
        parked: list[str | float] = []
        for pair in pairs:
            if message := self._read(*pair):
                self._signals.emit_before("delay_message", Delivery(message))
                parked += (_eta(message), message.options["redis_message_id"])
        if parked:
            self._scripts.run("park", self._scripts.broker_id, self.queue_name, *parked)

    def _move_due(self) -> timedelta:
        """Move what is due to its queue, and return how long to wait until looking again."""
        milliseconds, *due = self._scripts.run("due", self._scripts.broker_id, self.queue_name, MOST_DELAYED_TOGETHER)
        for pair in zip(due[::2], due[1::2], strict=True):
            if message := self._read(*pair):
                self._move(message)
        # Compared as numbers: what somebody delayed for ever is beyond any timedelta.
        longest = MESSAGE_WAIT // timedelta(milliseconds=1)
        return timedelta(milliseconds=milliseconds if 0 <= milliseconds < longest else longest)

    def _move(self, delayed: Message[Any]) -> None:
        message = delayed.copy(queue_name=q_name(self.queue_name))
        message.options.pop("eta", None)
        redis_message_id = message.options["redis_message_id"]
        self._signals.emit_before("enqueue", message, None)
        self._scripts.run(
            "move",
            *(self._scripts.broker_id, self.queue_name, redis_message_id),
            *(message.queue_name, redis_message_id, message.encode()),
        )
        self._signals.emit_after("enqueue", message, None)


def _eta(message: Message[Any]) -> float:
    eta = message.options.get("eta")
    return eta if isinstance(eta, int | float) else 0
