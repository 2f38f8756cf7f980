"""One process of a pool, as its supervisor sees it."""

import sys

from project.pool.child import Child
from tests.eventually import eventually


def test_a_process_that_has_failed_for_days_is_still_started_again() -> None:
    child = Child([sys.executable, "-c", "raise SystemExit(1)"], output=2)
    child.start()
    eventually(lambda: child.poll() == 1)
    child._deaths = 5000
    assert not child.start_if_due()
    assert child._start_at is not None
    child._start_at = 0
    assert child.start_if_due()
    eventually(lambda: child.poll() == 1)
