"""Types of what comes in over HTTP, so that nothing the database refuses gets as far as the database."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


#: Goes last in an ``Annotated[str, …]``: PostgreSQL cannot store a NUL character.
NoNul = AfterValidator(_without_nul)

#: A key as it stands in a URL.
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Body(BaseModel):
    """A request's JSON object.

    Not ninja's ``Schema``: that reads attributes as well, so that the JSON text ``"x"``, a Python string with a
    method ``title``, would pass for an object with a title.
    """
