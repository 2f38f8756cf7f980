"""A small drill; the one whose report is in docs/operations.md has 20,000 runs."""

import json
import subprocess
import sys

import pytest

from tests.acceptance.processes import ROOT

pytestmark = pytest.mark.long


def test_a_small_drill_keeps_every_promise() -> None:
    options = ["--tasks", "200", "--kills", "3", "--processes", "2", "--json"]
    command = [sys.executable, "manage.py", "drill", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["sent"], figures["lost"], figures["concurrent"], figures["unexplained"]) == (200, 0, 0, 0)
    assert figures["chaos"]["kill_worker"] == 3
    assert figures["more_than_once"] > 0
