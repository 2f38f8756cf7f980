"""How full the broker is, and whether it would rather delete messages than refuse them."""

from __future__ import annotations

from dataclasses import dataclass

from project.broker.service import BROKER_ERRORS, broker

#: The share of its memory from which on somebody should look, while there is still time to.
NEARLY_FULL = 0.8
#: Older servers do not know scripts that may run while memory is short, and refuse all of ours.
OLDEST_VERSION = (7, 0)
_SAFE_POLICY = "noeviction"
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Fullness:
    """What the broker says about its memory.

    Args:
        used: Bytes that count towards the limit.
        limit: Bytes it may use; 0 is no limit.
        policy: What it does at the limit: its `maxmemory-policy`.
        version: The server's version, as Redis counts.
    """

    used: int
    limit: int
    policy: str
    version: str

    @property
    def share(self) -> float:
        """The share of its limit that is used; 0 without one."""
        return self.used / self.limit if self.limit else 0.0

    @property
    def evicts(self) -> bool:
        """Whether it would delete messages to make room."""
        return self.policy != _SAFE_POLICY

    @property
    def alarms(self) -> list[str]:
        """One line for each thing that somebody should look at."""
        lines = []
        if self.share >= NEARLY_FULL:
            size = f"{self.used // _MEBIBYTE} of {self.limit // _MEBIBYTE} MiB"
            lines.append(f"the broker is {self.share:.0%} full ({size}): at 100% new runs wait as pending")
        if self.evicts:
            lines.append(f"the broker may delete messages: set maxmemory-policy {_SAFE_POLICY}, not {self.policy}")
        if tuple(map(int, self.version.split(".")[:2])) < OLDEST_VERSION:
            lines.append(f"the broker is Redis {self.version}: nothing runs before it is 7.0 or newer")
        return lines


def broker_fullness() -> Fullness:
    """Ask the broker about its memory.

    Raises:
        redis.RedisError: If it does not answer.
    """
    info = broker().client.info()
    return Fullness(
        used=info["used_memory"] - info.get("mem_not_counted_for_evict", 0),
        limit=info.get("maxmemory", 0),
        policy=info.get("maxmemory_policy", _SAFE_POLICY),
        version=info["redis_version"],
    )


def alarms() -> list[str]:
    """Return one line for each thing about the broker that somebody should look at.

    A full broker is an alarm, not a failure: taking the web processes away would not empty it, and what they send
    waits as pending.
    """
    try:
        return broker_fullness().alarms
    except BROKER_ERRORS as error:
        return [f"the broker does not answer ({type(error).__name__}): new runs wait as pending"]
