"""Tasks that exist only while tests run; they record what happened to them in lists."""

from datetime import timedelta

from pydantic import BaseModel

from project.tasks.errors import PermanentError
from project.tasks.task import task


class Sum(BaseModel):
    """What `add` returns."""

    total: int


attempts: list[int] = []


@task("tests.add")
def add(left: int, right: int = 1) -> Sum:
    """Add two numbers."""
    return Sum(total=left + right)


@task("tests.fail", max_retries=2, min_backoff=timedelta(milliseconds=10), max_backoff=timedelta(milliseconds=10))
def fail(*, times: int) -> str:
    """Raise that many times, then succeed."""
    attempts.append(len(attempts) + 1)
    if len(attempts) <= times:
        raise RuntimeError(f"attempt {len(attempts)} failed")
    return "done"


@task("tests.refuse", max_retries=5)
def refuse() -> None:
    """Fail for good."""
    attempts.append(len(attempts) + 1)
    raise PermanentError("never")
