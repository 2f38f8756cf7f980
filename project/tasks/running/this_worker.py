"""Under which id this process claims runs."""

from uuid import UUID


class _ThisWorker:
    """The id of this process's row in the table of workers; set when it signs on."""

    id = UUID(int=0)


this_worker = _ThisWorker()
