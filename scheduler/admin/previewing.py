"""What the schedule's page says while somebody types: the reading of the cron text, and its next fire times."""

from datetime import UTC, datetime
from typing import Any, Final

from scheduler.errors import ScheduleError
from scheduler.preview import Fire, preview, utc_text
from scheduler.reading import describe

#: Fire times that are shown, as the heading on the page says.
PREVIEWED: Final = 10


def previewed(cron: str, time_zone: str) -> dict[str, Any]:
    """Return the reading and the next fire times, or what is wrong, as plain JSON.

    Args:
        cron: Five fields or a macro, perhaps half typed.
        time_zone: A tz database name, perhaps half typed.
    """
    try:
        fires = preview(cron, time_zone, after=datetime.now(UTC), count=PREVIEWED)
        return {"reading": describe(cron, time_zone), "fires": [_shown(fire) for fire in fires]}
    except ScheduleError as error:
        return {"error": str(error)}


def _shown(fire: Fire) -> dict[str, str]:
    local = f"{fire.local:%a %Y-%m-%d %H:%M %Z}"
    return {"local": local, "utc": utc_text(fire.at), "mark": fire.mark, "note": fire.note}
