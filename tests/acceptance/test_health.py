"""Health as the real processes show it."""

import json
import urllib.error
import urllib.request

from tests.acceptance.processes import Service
from tests.eventually import eventually


def failing(url: str) -> list[str]:
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
    except urllib.error.HTTPError as response:
        return [str(response.code), *json.load(response)["failing"]]
    return []


def exit_codes(service: Service) -> dict[str, int | None]:
    commands = {kind: service.manage("health", kind) for kind in ("web", "worker", "scheduler")}
    eventually(lambda: all(command.exit_code is not None for command in commands.values()), timeout=30)
    return {kind: command.exit_code for kind, command in commands.items()}


def test_the_service_is_ready_once_a_worker_has_answered_a_ping(service: Service) -> None:
    web = service.web()
    assert failing(web.url) == ["503", "ping"]
    service.worker()
    service.command("shell", "--no-imports", "-c", "from project.registry import registry; registry.ping.send()")
    eventually(lambda: not failing(web.url))


def test_the_health_command_sees_processes_come_and_go(service: Service) -> None:
    started = [service.web(), service.worker(), service.scheduler()]
    assert exit_codes(service) == {"web": 0, "worker": 0, "scheduler": 0}
    for running in started:
        running.terminate()
    assert exit_codes(service) == {"web": 1, "worker": 1, "scheduler": 1}
