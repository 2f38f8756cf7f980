"""What goes in and out of the tasks that mail."""

from typing import Annotated

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from project.mail.letters import is_shown
from project.values.fields import NoNul


def _address(value: str) -> str:
    try:
        validate_email(value)
    except ValidationError:
        raise ValueError("must be one e-mail address, without a name") from None
    return value


def _line(value: str) -> str:
    if not all(map(is_shown, value)):
        raise ValueError("must be one line without control characters")
    return value


#: One address: of several recipients each gets a mail, and so a run, of their own.
EmailAddress = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
#: A line, so that no header can hide in it.
Subject = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_line)]
#: Of the size of a long novel: what is longer is no mail.
Content = Annotated[str, StringConstraints(max_length=1_000_000), NoNul]


class SendEmailResult(BaseModel):
    """What became of a mail.

    Args:
        message_id: Its `Message-ID`, made of the run's id: a repeat has the same.
    """

    model_config = ConfigDict(frozen=True)

    message_id: str
