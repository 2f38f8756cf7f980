"""Exports over HTTP."""

from http import HTTPStatus
from uuid import UUID

from django.http import FileResponse
from ninja import NinjaAPI, Router, Status

from project.web.errors import answer, refusals
from project.web.throttle import Throttle, Window, signed_in_user
from reports import services
from reports.downloads import download
from reports.errors import ExportExpiredError, ExportNotFoundError, ExportRefusedError, StorageAwayError
from reports.schemas import ExportOrder
from reports.tasks import export_todos
from todo.schemas import Sent
from users.auth import SignedIn, bearer

#: Of one user, over HTTP and on the page together: each reads all of their todos.
EXPORTS = Window("export", limit=lambda: "10/minute")

todos_router = Router(tags=["todos"], auth=bearer)
exports_router = Router(tags=["exports"], auth=bearer)


@todos_router.post(
    "/export",
    throttle=Throttle(EXPORTS, by=signed_in_user),
    response={202: Sent, **refusals(400, 401, 422, 429)},
    operation_id="export_todos",
)
def order_export(request: SignedIn, body: ExportOrder) -> Status[Sent]:
    """Have your todos written into a file; the status address says when that is done, and where to download it."""
    services.check_export(user_id=request.auth.pk, kind=body.format)
    run_id = export_todos.send(user_id=request.auth.pk, format=body.format).run_id
    return Status(202, Sent(task_id=run_id, status_url=f"/v1/tasks/{run_id}"))


@exports_router.get("/{export_id}", response=refusals(401, 404, 410, 422, 503), operation_id="download_export")
def download_export(request: SignedIn, export_id: UUID) -> FileResponse:
    """Download one of your exports, for a day after it was made."""
    return download(services.find_export(export_id=export_id, user=request.auth))


def answer_report_errors(api: NinjaAPI) -> None:
    """Let `api` answer what the reports refuse."""
    answer(api, ExportRefusedError, HTTPStatus.BAD_REQUEST)
    answer(api, ExportNotFoundError, HTTPStatus.NOT_FOUND)
    answer(api, ExportExpiredError, HTTPStatus.GONE)
    answer(api, StorageAwayError, HTTPStatus.SERVICE_UNAVAILABLE)
