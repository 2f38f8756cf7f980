"""The weekly digest on real processes and a real mail server, which does not know everybody."""

from notifications.schemas import DigestResult
from project.registry import registry
from project.tasks.models import TaskRun
from tests.acceptance.processes import Service
from tests.eventually import eventually
from tests.people import a_user
from tests.smtp import MailServer, environment_of
from todo.services import create_todo


def result_of_digest(number: int) -> DigestResult:
    """Send a digest, wait until the callback of its batch has ended, and return what that counted."""
    registry.notifications_send_weekly_digest.send().result(timeout=20)
    ended = TaskRun.objects.filter(task="notifications.finish_weekly_digest", state="succeeded").order_by("-id")
    eventually(lambda: ended.count() == number, timeout=20)
    return DigestResult.model_validate(ended[0].result)


def test_a_digest_counts_whom_the_server_does_not_know_and_mails_nobody_twice(service: Service) -> None:
    server, users = MailServer(), [a_user() for _ in range(5)]
    for user in users:
        create_todo(user=user, title="Water the plants")
    server.refused = {users[0].email}
    service.environment |= environment_of(server)
    service.worker()
    with server.listening():
        assert result_of_digest(1) == DigestResult(sent=4, skipped=0, failed=1)
        assert result_of_digest(2) == DigestResult(sent=0, skipped=0, failed=0)

    assert sorted(str(mail["To"]) for mail in server.mails) == sorted(user.email for user in users[1:])
    dead = TaskRun.objects.get(task="notifications.send_digest", state="dead")
    assert (dead.attempts, "550" in dead.error) == (1, True)
