"""What the reports refuse, and why."""


class ReportsError(Exception):
    """Base of the domain's errors; the message is meant for the caller."""


class ExportRefusedError(ReportsError):
    """These todos are not exported in this format, however often it is tried."""


class NothingToExportError(ExportRefusedError):
    """There are no todos."""

    def __init__(self) -> None:
        super().__init__("There is nothing to export: you have no todos yet")


class TooLongForPdfError(ExportRefusedError):
    """A PDF of so many todos is read by nobody, and takes minutes and gigabytes."""

    def __init__(self, *, most: int) -> None:
        super().__init__(f"A PDF holds at most {most:,} todos and you have more: export them as CSV or JSON lines")


class ExportNotFoundError(ReportsError):
    """There is no such export, or it is somebody else's."""

    def __init__(self) -> None:
        super().__init__("Export not found")


class ExportExpiredError(ReportsError):
    """There was such an export, and its file is gone or about to go."""

    def __init__(self) -> None:
        super().__init__("This export has expired: make a new one")


class StorageAwayError(ReportsError):
    """The file is there, but where it is kept does not answer."""

    def __init__(self) -> None:
        super().__init__("The export cannot be read at the moment: try again in a minute")
