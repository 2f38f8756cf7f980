"""The admin of the clock: schedules that an operator edits while they run, and the ledger of their ticks."""

from scheduler.admin import schedules, ticks

__all__ = ["schedules", "ticks"]
