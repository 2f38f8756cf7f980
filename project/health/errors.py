"""Why the service is not ready."""


class NotReadyError(Exception):
    """A part of the service does not work; the text is safe to show to anybody."""
