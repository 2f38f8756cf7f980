"""Reminders on real processes: moved, cancelled, and mailed when they are due."""

from datetime import timedelta

from django.utils import timezone

from project.tasks.models import TaskRun
from tests.acceptance.processes import Service
from tests.eventually import eventually
from tests.people import a_user
from tests.smtp import MailServer, environment_of
from todo.editing import create_todo, update_todo

SOON = timedelta(seconds=4)


def test_of_todos_that_are_moved_completed_or_left_only_those_that_are_due_are_mailed(service: Service) -> None:
    server, user = MailServer(), a_user()
    service.environment |= environment_of(server)
    service.worker()
    with server.listening():
        soon, later = timezone.now() + SOON, timezone.now() + timedelta(hours=1)
        left, completed, moved, moved_nearer = (
            create_todo(user=user, title=title, due_at=later if title == "nearer" else soon)
            for title in ("left", "completed", "moved", "nearer")
        )
        update_todo(todo_id=completed.pk, user=user, changes={"completed": True})
        update_todo(todo_id=moved.pk, user=user, changes={"due_at": later})
        update_todo(todo_id=moved_nearer.pk, user=user, changes={"due_at": soon})
        eventually(lambda: TaskRun.objects.filter(task="send_email", state="succeeded").count() == 2, timeout=20)

    assert sorted(server.subjects) == ["Due now: left", "Due now: nearer"]
    left.refresh_from_db()
    assert left.reminded_at is not None
    assert left.reminded_at >= soon
    states = TaskRun.objects.filter(task="todo.remind").values_list("state", flat=True)
    assert sorted(states) == ["cancelled", "cancelled", "cancelled", "pending", "succeeded", "succeeded"]
