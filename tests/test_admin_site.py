"""The admin is loaded late, and nobody notices but for the time that workers and commands save."""

import subprocess
import sys

import pytest
from django.core.checks import Tags, run_checks

from todo.admin import TodoAdmin

LOADED = "import django, sys; django.setup(); print(*(name for name in sys.modules if name.endswith('.admin')))"


def test_a_mistake_in_an_admin_is_named_by_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TodoAdmin, "list_display", ("no_such_field",))
    assert "no_such_field" in " ".join(message.msg for message in run_checks(tags=[Tags.admin]))


def test_a_process_that_shows_no_admin_loads_none() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()
    assert not {"todo.admin", "users.admin", "scheduler.admin", "project.desk.admin"} & set(loaded)
