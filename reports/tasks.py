"""The reports' background work."""

from datetime import timedelta

from project.names import TaskName
from project.tasks import PermanentError, current_run, report_progress, task, uuid7
from reports import pruning, services
from reports.errors import ExportRefusedError
from reports.schemas import ExportFormat, ExportResult, PruneExportsResult

#: A disk that is full or a bucket that is away may take hours; with full jitter these are about four.
RETRIES = 15
LONGEST_BACKOFF = timedelta(minutes=30)
#: A million todos take 10 seconds or so and an upload; many times as many are allowed.
LONGEST = timedelta(minutes=15)


@task(
    TaskName.REPORTS_EXPORT_TODOS,
    max_retries=RETRIES,
    max_backoff=LONGEST_BACKOFF,
    time_limit=LONGEST,
    unique=True,  # a double click is one export
    max_concurrency=1,  # of each user, so that nobody's exports take all threads
    concurrency_key=lambda user_id: user_id,
)
def export_todos(*, user_id: int, format: ExportFormat) -> ExportResult:  # noqa: A002 - part of what callers write
    """Write one user's todos into a file that they can download for a day."""
    run = current_run()
    export_id = run.run_id if run else uuid7()
    try:
        return services.export_todos(user_id=user_id, kind=format, export_id=export_id, report=report_progress)
    except ExportRefusedError as error:
        raise PermanentError(str(error)) from error


@task(TaskName.REPORTS_PRUNE_EXPORTS, queue="maintenance", max_retries=3, unique=True)
def prune_exports() -> PruneExportsResult:
    """Delete the files of exports whose day is over, and what killed runs have left."""
    return pruning.prune_exports()
