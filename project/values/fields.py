"""Types of what comes in from outside, so that nothing the database refuses gets as far as the database."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, model_validator

#: No time from outside is earlier or later: near the ends of the calendar, a time zone leads out of it.
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
#: No duration from outside is longer: a hundred years.
LONGEST = timedelta(days=36_500)
#: JSON from a form is nested no deeper.
DEEPEST = 50
#: A JSON object from outside has no more keys.
MOST_KEYS = 100


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


#: Goes last in an `Annotated[str, …]`: PostgreSQL cannot store a NUL character.
NoNul = AfterValidator(_without_nul)


def _within_the_calendar(value: datetime) -> datetime:
    if not EARLIEST <= value <= LATEST:
        raise ValueError(f"must be between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
    return value


#: A time with its offset from UTC.
Instant = Annotated[AwareDatetime, AfterValidator(_within_the_calendar)]


class InstantField(forms.SplitDateTimeField):
    """A form's `Instant`, as a date and a time of day."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators += [MinValueValidator(EARLIEST), MaxValueValidator(LATEST)]


class LengthField(forms.DurationField):
    """A form's duration: none that is negative or without end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators += [MinValueValidator(timedelta(0)), MaxValueValidator(LONGEST)]


class _ShallowJSON(json.JSONDecoder):
    def decode(self, s: str, *arguments: Any) -> Any:
        try:
            value = super().decode(s, *arguments)
        except RecursionError:
            raise json.JSONDecodeError("nested too deeply", s, 0) from None
        level = [value]
        for _ in range(DEEPEST):
            level = [inner for outer in level for inner in _inside(outer)]
        if level:
            raise json.JSONDecodeError("nested too deeply", s, 0)
        return value


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


class JSONField(forms.JSONField):
    """A form's JSON, not nested so deeply that the code that reads it later runs out of stack."""

    default_error_messages: ClassVar[Any] = {"invalid": "Enter valid JSON, nested at most 50 deep."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "decoder": _ShallowJSON})


#: A key as it stands in a URL.
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Body(BaseModel):
    """A request's JSON object.

    Not ninja's `Schema`: that reads attributes as well, so that the JSON text `"x"`, a Python string with a
    method `title`, would pass for an object with a title.
    """

    @model_validator(mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MOST_KEYS:
            # Each would be looked at, and complained about.
            raise ValueError(f"must not have more than {MOST_KEYS} keys")
        return value
