"""Exports as programs and browsers ask for them: ordered, refused, downloaded by their owner."""

import gzip
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from dramatiq.worker import Worker

from project.tasks.models import TaskRun
from project.values.ids import uuid7
from reports.models import Export
from tests.eventually import eventually
from tests.exports import a_busy_user, directory, made
from tests.people import Api, a_user
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def browser_of(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def an_export(user: User) -> Export:
    export_id = uuid7()
    made(user, export_id=export_id)
    return Export.objects.get(pk=export_id)


def test_a_user_exports_their_todos_and_downloads_them(worker: Worker) -> None:
    user = a_busy_user(todos=3)
    response = Api(user).post("/v1/todos/export", {"format": "jsonl"})
    sent = response.json()
    assert (response.status_code, sent["status_url"]) == (202, f"/v1/tasks/{sent['task_id']}")
    eventually(lambda: Api(user).get(sent["status_url"]).json()["state"] == "succeeded")
    result = Api(user).get(sent["status_url"]).json()["result"]
    downloaded = Api(user).get(result["url"])
    assert (downloaded.status_code, result["rows"], len(body(downloaded))) == (200, 3, result["bytes"])
    run = Api(user).get(sent["status_url"]).json()
    assert run["progress"] == 1.0


def test_a_download_says_what_it_is_and_is_kept_by_nobody() -> None:
    user = a_busy_user(todos=1)
    export = an_export(user)
    response = Api(user).get(f"/v1/exports/{export.pk}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="todos-{export.created_at:%Y-%m-%d}.csv"'
    assert response["Content-Length"] == str(len(body(response)))
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]


def test_only_its_owner_downloads_an_export() -> None:
    owner, other = a_busy_user(todos=1), a_user(is_staff=True, is_superuser=True)
    export = an_export(owner)
    api, page = f"/v1/exports/{export.pk}", f"/exports/{export.pk}/"
    assert [Api(person).get(api).status_code for person in (None, other, owner)] == [401, 404, 200]
    assert [browser_of(person).get(page).status_code for person in (other, owner)] == [404, 200]
    assert Client().get(page)["Location"] == f"/sign-in/?next={page}"
    # A browser's session is no key to the API, nor a token to the page.
    assert browser_of(owner).get(api).status_code == 401
    assert Api(owner).get(page).status_code == 302


def test_an_export_that_never_was_is_not_found() -> None:
    user = a_user()
    assert Api(user).get(f"/v1/exports/{uuid4()}").status_code == 404
    assert browser_of(user).get(f"/exports/{uuid4()}/").status_code == 404
    assert Api(user).get("/v1/exports/x").status_code == 422


def test_after_a_day_an_export_has_expired_pruned_or_not() -> None:
    user = a_busy_user(todos=1)
    export = an_export(user)
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for name in (export.name, ""):
        Export.objects.update(name=name)
        response = Api(user).get(f"/v1/exports/{export.pk}")
        assert (response.status_code, response.json()["detail"]) == (410, "This export has expired: make a new one")
        page = browser_of(user).get(f"/exports/{export.pk}/")
        assert (page.status_code, "make a new one" in page.content.decode()) == (410, True)


def test_a_file_that_has_gone_has_expired_and_one_that_cannot_be_read_is_a_matter_of_time() -> None:
    user = a_busy_user(todos=1)
    export = an_export(user)
    path = directory() / export.name
    path.unlink()
    assert Api(user).get(f"/v1/exports/{export.pk}").status_code == 410
    path.mkdir()  # what opening it for reading fails of, also for root
    assert Api(user).get(f"/v1/exports/{export.pk}").status_code == 503
    page = browser_of(user).get(f"/exports/{export.pk}/")
    assert (page.status_code, "try again in a minute" in page.content.decode()) == (503, True)


@pytest.mark.parametrize("order", [{"format": "xlsx"}, {"format": None}, {}, {"format": "csv", "more": 1}, []])
def test_an_order_that_makes_no_sense_is_refused(order: Any) -> None:
    assert Api(a_busy_user(todos=1)).post("/v1/todos/export", order).status_code == 422
    assert not TaskRun.objects.exists()


def test_nothing_and_too_much_are_refused_with_a_sentence() -> None:
    nothing = Api(a_user()).post("/v1/todos/export", {"format": "csv"})
    assert (nothing.status_code, nothing.json()["detail"]) == (
        400,
        "There is nothing to export: you have no todos yet",
    )
    too_much = Api(a_busy_user(todos=5_001)).post("/v1/todos/export", {"format": "pdf"})
    assert (too_much.status_code, "as CSV or JSON lines" in too_much.json()["detail"]) == (400, True)
    assert not TaskRun.objects.exists()


def test_a_double_click_is_one_export_and_another_format_another_one() -> None:
    user = a_busy_user(todos=1)
    asked = [Api(user).post("/v1/todos/export", {"format": kind}).json()["task_id"] for kind in ("csv", "csv", "pdf")]
    assert asked[0] == asked[1] != asked[2]


def test_so_many_exports_a_minute_over_http_and_on_the_page_together() -> None:
    user = a_busy_user(todos=1)
    statuses = [Api(user).post("/v1/todos/export", {"format": "csv"}).status_code for _ in range(5)]
    for _ in range(5):
        browser_of(user).post("/todos/export/", {"format": "csv"})
    page = browser_of(user).post("/todos/export/", {"format": "csv"}, follow=True)
    assert statuses == [202] * 5
    assert "too often" in page.content.decode()
    assert Api(user).post("/v1/todos/export", {"format": "csv"}).status_code == 429
    assert Api(a_busy_user(todos=1)).post("/v1/todos/export", {"format": "csv"}).status_code == 202


def test_the_page_orders_an_export_and_says_why_not() -> None:
    user, nobody = a_busy_user(todos=1), a_user()
    page = browser_of(user).post("/todos/export/", {"format": "pdf", "back": "show=done"})
    run = TaskRun.objects.get()
    assert (page["Location"], run.task, run.arguments) == (
        "/?show=done",
        "reports.export_todos",
        {"user_id": user.pk, "format": "pdf"},
    )
    said = browser_of(user).post("/todos/export/", {"format": "doc"}, follow=True).content.decode()
    assert "Choose CSV, JSON lines or PDF." in said
    said = browser_of(nobody).post("/todos/export/", {"format": "csv"}, follow=True).content.decode()
    assert "There is nothing to export" in said
    assert 'id="export"' not in said
    assert browser_of(user).get("/todos/export/")["Location"] == "/"


def test_a_run_that_has_ended_leads_to_its_file(worker: Worker) -> None:
    user = a_busy_user(todos=3)
    browser = browser_of(user)
    browser.post("/todos/export/", {"format": "csv"})
    eventually(lambda: TaskRun.objects.filter(state="succeeded").exists())
    page = browser.get("/").content.decode()
    assert "3 todos exported, " in page
    assert f'href="/exports/{TaskRun.objects.get().pk}/"' in page


def test_a_file_is_sent_as_it_is_to_a_browser_that_unpacks() -> None:
    user = a_busy_user(todos=1)
    response = Api(user, **{"Accept-Encoding": "gzip"}).get(f"/v1/exports/{an_export(user).pk}")
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(body(response))
