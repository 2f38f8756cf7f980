"""Queues in the admin are paused with a reason and resumed, by those who may."""

import pytest

from project.tasks.models import OperatorAction, PausedQueue
from tests.people import a_viewer, an_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]


def test_a_queue_is_paused_with_a_reason_and_resumed() -> None:
    client = an_operator()
    missing = client.post("/admin/tasks/pausedqueue/pause/", {"queue": "default"})
    assert set(missing.context["form"].errors) == {"reason"}
    sent = {"queue": "default", "reason": "peer down", "resume_at_0": "2030-01-01", "resume_at_1": "12:00"}
    client.post("/admin/tasks/pausedqueue/pause/", sent)
    paused = PausedQueue.objects.get()
    assert (paused.queue, paused.reason, paused.resume_at is not None) == ("default", "peer down", True)
    assert "peer down" in client.get("/admin/tasks/pausedqueue/").content.decode()
    client.post("/admin/tasks/pausedqueue/default/resume/", {"reason": ""})
    assert not PausedQueue.objects.exists()
    assert list(OperatorAction.objects.order_by("id").values_list("action", flat=True)) == ["pause", "resume"]


@pytest.mark.parametrize("path", ["pause/", "default/resume/"])
def test_who_may_only_look_may_not_pause(path: str) -> None:
    assert a_viewer().post(f"/admin/tasks/pausedqueue/{path}", {"queue": "default", "reason": "x"}).status_code == 403
    assert "Pause a queue" not in a_viewer().get("/admin/tasks/pausedqueue/").content.decode()
