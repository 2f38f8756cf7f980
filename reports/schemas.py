"""What goes in and out of the reports' HTTP API and tasks."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from project.values.fields import Body

#: How a file of todos is written.
ExportFormat: TypeAlias = Literal["csv", "jsonl", "pdf"]


class ExportOrder(Body):
    """Which kind of file is wanted."""

    model_config = ConfigDict(extra="forbid")

    format: ExportFormat


class ExportResult(BaseModel):
    """What became of an export.

    Args:
        rows: How many todos are in the file.
        bytes: How long it is.
        url: Where its owner downloads it, for a day; empty if the owner is gone.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    bytes: int
    url: str


class PruneExportsResult(BaseModel):
    """What a pruning came to.

    Args:
        expired: Exports whose file is gone because its day was over.
        orphans: Files that are gone because they belonged to no export: their user is, or they were never completed.
        errors: Files that could not be deleted; the next pruning tries again.
    """

    model_config = ConfigDict(frozen=True)

    expired: int
    orphans: int
    errors: int = 0
