"""Group commit."""

import threading
from collections.abc import Sequence

from project.tasks.groups import GroupCommit
from tests.eventually import eventually


class Inverter:
    """Inverts numbers in groups, the first only when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.invert = GroupCommit(self._invert, fail_alone=(ZeroDivisionError,))

    def invert_together(self, numbers: Sequence[int]) -> dict[int, float | str]:
        """Invert the first number alone, and the others, which come meanwhile, as a group."""
        replies: dict[int, float | str] = {}
        threads = [threading.Thread(target=self._ask, args=[number, replies]) for number in numbers]
        threads[0].start()
        eventually(lambda: self.groups)
        for thread in threads[1:]:
            thread.start()
        eventually(lambda: len(self.invert._waiting) == len(numbers) - 1)
        self.may_go_on.set()
        for thread in threads:
            thread.join(10)
        return replies

    def _ask(self, number: int, replies: dict[int, float | str]) -> None:
        try:
            replies[number] = self.invert(number)
        except ZeroDivisionError:
            replies[number] = "refused"

    def _invert(self, numbers: Sequence[int]) -> list[float]:
        self.groups.append(sorted(numbers))
        self.may_go_on.wait(10)
        return [1 / number for number in numbers]


def test_requests_that_come_while_one_is_served_are_served_together() -> None:
    inverter = Inverter()
    assert inverter.invert_together([1, 2, 4, 8]) == {1: 1, 2: 0.5, 4: 0.25, 8: 0.125}
    assert inverter.groups == [[1], [2, 4, 8]]


def test_a_bad_request_fails_alone() -> None:
    assert Inverter().invert_together([1, 0, 2]) == {1: 1, 0: "refused", 2: 0.5}
