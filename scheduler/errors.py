"""What can be wrong with a schedule; every message says what to do about it."""


class ScheduleError(ValueError):
    """A schedule cannot be kept as it was written."""


class CronError(ScheduleError):
    """The cron text is not one of ours; the message names the field and what it may hold."""


class UnknownTimeZoneError(ScheduleError):
    """The time zone is not in the pinned tz database; use a name such as `Europe/Berlin`."""
