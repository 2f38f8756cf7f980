"""Failures by kind, and the list of runs as a file."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from project.tasks.models import TaskRun
from tests.people import a_viewer
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "/admin/tasks/taskrun/"


def test_failures_are_grouped_by_kind() -> None:
    for _ in range(3):
        a_run(fingerprint="aaa", error="smtp is down")
    a_run(fingerprint="bbb", error_type="KeyError")
    shown = a_viewer().get(f"{RUNS}failures/")
    assert [(group.error_type, group.runs) for group, _, _ in shown.context["groups"]] == [
        ("KeyError", 1),
        ("ValueError", 3),
    ]
    assert "smtp is down" in shown.content.decode()
    _, address, _ = shown.context["groups"][1]
    assert len(a_viewer().get(f"{RUNS}?{address}").context["cl"].result_list) == 3


def lines(client: Client, **query: str) -> str:
    body: Any = client.get(f"{RUNS}export/", query)
    content: Iterator[bytes] = body.streaming_content
    return b"".join(content).decode()


def test_runs_are_exported_as_csv_and_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.desk.admin.export._CHUNK", 2)
    for _ in range(5):
        a_run(error="=1+1")
    a_run("succeeded")
    rows = list(csv.DictReader(io.StringIO(lines(a_viewer(), state="dead"))))
    assert [row["error"] for row in rows] == ["'=1+1"] * 5
    assert json.loads(rows[0]["arguments"]) == {"left": 1}
    assert len(lines(a_viewer(), q="nothing like that").splitlines()) == 1
    exported = [json.loads(line) for line in lines(a_viewer(), **{"as": "jsonl"}).splitlines()]
    assert [row["id"] for row in exported] == [str(run.id) for run in TaskRun.objects.order_by("-id")]
