"""The filter of the runs' list as its address says it, and the address that says a filter."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import QueryDict
from django.utils import timezone
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from project.tasks.repair.filters import RunFilter

#: What the list's filter by time offers: its name in the address, its label, and how far it looks back.
SINCE = {
    "hour": ("Past hour", timedelta(hours=1)),
    "day": ("Past 24 hours", timedelta(days=1)),
    "week": ("Past 7 days", timedelta(days=7)),
}
#: Every filter that an address may hold.
NAMES = (*RunFilter.model_fields, "sent")
#: What an address may hold beside the filter: the page, the search, the kind of file, and Django's own notes.
_BESIDE = frozenset({"p", "q", "as", "e", "_changelist_filters", "_facets"})


def filter_of(parameters: QueryDict) -> RunFilter:
    """Read the filter from a list's address.

    Raises:
        IncorrectLookupParameters: If it makes no sense, or holds anything else: a filter that is ignored would match
            every run.
    """
    given = {name: values for name, values in parameters.lists() if name not in _BESIDE}
    for name, values in given.items():
        _check(name, values)
    if "sent" in given and "since" in given:
        raise IncorrectLookupParameters("Give sent or since, not both.")
    chosen: dict[str, Any] = {name: values[0] for name, values in given.items() if name != "sent"}
    chosen |= {"since": _since(given["sent"][0])} if "sent" in given else {}
    try:
        return RunFilter(**chosen)
    except ValidationError as error:
        raise IncorrectLookupParameters("; ".join(map(_complaint, error.errors()))) from error


def address_of(which: RunFilter) -> str:
    """Return the query of the list that shows these runs."""
    parameters = QueryDict(mutable=True)
    parameters.update(which.stored())
    return parameters.urlencode()


def _check(name: str, values: list[Any]) -> None:
    if name not in NAMES:
        raise IncorrectLookupParameters(f"There is no filter {name[:100]!r}; there are {', '.join(NAMES)}.")
    if len(values) > 1:
        raise IncorrectLookupParameters(f"The filter {name} is given twice.")


def _since(step: str) -> datetime | None:
    if not step:
        return None
    if step not in SINCE:
        raise IncorrectLookupParameters(f"sent is one of {', '.join(SINCE)}.")
    return timezone.now() - SINCE[step][1]


def _complaint(error: ErrorDetails) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
