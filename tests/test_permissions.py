"""Who may see and do what: each address of staff, asked by nobody, a user, staff without and with the permission."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, TaskBatch
from scheduler.models import Schedule
from tests.people import Api, a_user, staff
from tests.runs import a_run

pytestmark = pytest.mark.django_db

API = [
    ("get", "/v1/tasks/queues", "view_taskrun"),
    ("get", "/v1/tasks/workers", "view_taskrun"),
    ("get", "/v1/tasks/{run_id}/details", "view_taskrun"),
    ("post", "/v1/tasks/{run_id}/retry", "change_taskrun"),
    ("post", "/v1/tasks/{run_id}/discard", "change_taskrun"),
    ("post", "/v1/tasks/queues/{queue}/pause", "change_taskrun"),
    ("post", "/v1/tasks/queues/{queue}/resume", "change_taskrun"),
    ("get", "/v1/users/{user_id}", "view_user"),
]
#: For everybody, each with their own runs; see test_own_runs_api.py.
OWN = {("get", "/v1/tasks"), ("get", "/v1/tasks/{run_id}"), ("post", "/v1/tasks/{run_id}/cancel")}
PAGES = [
    ("get", "/metrics", "view_taskrun"),
    ("get", "/admin/operations/", "view_taskrun"),
    ("get", "/admin/operations/", "change_taskrun"),
    ("get", "/admin/tasks/taskrun/{run_id}/change/", "view_taskrun"),
    ("get", "/admin/tasks/taskrun/failures/", "view_taskrun"),
    ("get", "/admin/tasks/taskrun/export/", "view_taskrun"),
    ("get", "/admin/tasks/taskrun/retry-all/", "change_taskrun"),
    ("post", "/admin/tasks/taskrun/{run_id}/retry/", "change_taskrun"),
    ("get", "/admin/tasks/taskrun/{run_id}/edit/", "change_taskrun"),
    ("get", "/admin/tasks/taskrun/{run_id}/cancel/", "change_taskrun"),
    ("post", "/admin/tasks/taskrun/{run_id}/discard/", "change_taskrun"),
    ("get", "/admin/tasks/pausedqueue/pause/", "change_taskrun"),
    ("post", "/admin/tasks/pausedqueue/{queue}/resume/", "change_taskrun"),
    ("get", "/admin/tasks/bulkretry/{bulk_id}/change/", "view_taskrun"),
    ("post", "/admin/tasks/bulkretry/{bulk_id}/stop/", "change_taskrun"),
    ("get", "/admin/tasks/taskbatch/{batch_id}/change/", "view_taskrun"),
    ("get", "/admin/scheduler/schedule/preview/", "view_schedule"),
    ("post", "/admin/scheduler/schedule/{key}/run/", "run_schedule"),
    ("post", "/admin/scheduler/schedule/{key}/reset/", "change_schedule"),
    ("get", "/admin/mail/", "view_user"),
    ("get", "/admin/todo/todo/cleanup/", "delete_todo"),
]
#: What has the permissions of Django's own admin, or is for oneself.
DJANGOS = ("_changelist", "_add", "_history", "_delete", "_autocomplete", "_password_change", "_change")
BODIES = {"/v1/tasks/queues/{queue}/pause": {"reason": "x"}}


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


@pytest.fixture
def ids() -> dict[str, Any]:
    return {
        "run_id": a_run(task="ping", arguments={}).id,
        "user_id": a_user().pk,
        "queue": "default",
        "bulk_id": BulkRetry.objects.create(filter={}, rate=1, max_error_share=1, who="grace").id,
        "batch_id": TaskBatch.objects.create(total=1).id,
        "key": Schedule.objects.create(name="new", task="ping", cron="* * * * *").id,
    }


def browser(user: Any) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


@pytest.mark.parametrize(("method", "path", "permission"), API)
def test_an_address_of_staff_needs_its_permission(method: str, path: str, permission: str, ids: dict[str, Any]) -> None:
    address, body = path.format(**ids), {"body": BODIES.get(path, {})} if method == "post" else {}
    people = [None, a_user(), staff("view_session"), a_user(is_active=False, is_staff=True), staff(permission)]
    statuses = [getattr(Api(person), method)(address, **body).status_code for person in people]
    assert statuses[:4] == [401, 403, 403, 401]
    assert statuses[4] in (200, 202)


@pytest.mark.parametrize(("method", "path", "permission"), PAGES)
def test_a_page_of_staff_needs_its_permission(method: str, path: str, permission: str, ids: dict[str, Any]) -> None:
    address = path.format(**ids)
    refused = [getattr(browser(person), method)(address) for person in (None, a_user(), staff("view_session"))]
    for response in refused:
        assert response.status_code == 403 or "/admin/login/" in response["Location"]
    assert refused[2].status_code == 403
    allowed = getattr(browser(staff(permission)), method)(address)
    assert allowed.status_code == 200 or "/admin/login/" not in allowed["Location"]


def test_a_permission_without_staff_opens_nothing(ids: dict[str, Any]) -> None:
    user = staff("view_taskrun", "change_taskrun", "view_user")
    user.is_staff = False
    user.save()
    for method, path, _ in API:
        body: dict[str, Any] = {"body": {}} if method == "post" else {}
        assert getattr(Api(user), method)(path.format(**ids), **body).status_code in (403, 422), path
    assert browser(user).get("/metrics").status_code == 403


def test_somebody_elses_run_is_there_for_staff_with_the_permission_only(ids: dict[str, Any]) -> None:
    address = f"/v1/tasks/{ids['run_id']}"
    people = [a_user(), staff("view_session"), staff("view_taskrun")]
    assert [Api(person).get(address).status_code for person in people] == [404, 404, 200]


def test_no_address_of_staff_is_forgotten_here() -> None:
    paths = Api().get("/openapi.json").json()["paths"]
    operations = {(method, path) for path, methods in paths.items() for method in methods if "/tasks" in path}
    assert operations - OWN == {(m, path) for m, path, _ in API if "/tasks" in path}


def test_no_page_of_our_own_admins_is_forgotten_here() -> None:
    tested = {path.split("/")[-2] for _, path, _ in PAGES}
    admin.autodiscover()
    for model, model_admin in admin.site._registry.items():
        patterns = [each for each in model_admin.get_urls() if isinstance(each, URLPattern)]
        ours = [each for each in patterns if each.name and not each.name.endswith(DJANGOS)]
        own = [str(each.pattern).rstrip("/").split("/")[-1] for each in ours]
        assert set(own) <= tested, model
