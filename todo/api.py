"""Todos over HTTP."""

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from project.values.fields import Id
from project.web.errors import refusals, refuse_fields
from project.web.throttle import Throttle, Window, signed_in_user
from todo import editing, services
from todo.models import Todo
from todo.schemas import NewTodo, Page, Sent, TodoChanges, TodoOut, TodoPage
from todo.tasks import cleanup_for_user
from users.auth import SignedIn, bearer

#: Of one user; while one cleanup is unfinished, asking again sends none, but a cleanup may take no time.
CLEANUPS = Window("cleanup", limit=lambda: "60/minute")

router = Router(tags=["todos"], auth=bearer)


@router.get("", response={200: TodoPage, **refusals(401, 422)}, operation_id="list_todos")
def list_todos(request: SignedIn, page: Query[Page]) -> TodoPage:
    """List your todos, newest first."""
    return services.list_todos(user=request.auth, page=page)


@router.post("", response={201: TodoOut, **refusals(400, 401, 422)}, operation_id="create_todo")
def create_todo(request: SignedIn, body: NewTodo) -> Status[Todo]:
    """Write down a todo."""
    return Status(201, editing.create_todo(user=request.auth, **body.model_dump()))


@router.post(
    "/cleanup",
    throttle=Throttle(CLEANUPS, by=signed_in_user),
    response={202: Sent, **refusals(401, 429)},
    operation_id="clean_up_todos",
)
def clean_up_todos(request: SignedIn) -> Status[Sent]:
    """Have your completed todos deleted; the status address says when that is done and what it came to."""
    run_id = cleanup_for_user.send(user_id=request.auth.pk).run_id
    return Status(202, Sent(task_id=run_id, status_url=f"/v1/tasks/{run_id}"))


@router.get("/{todo_id}", response={200: TodoOut, **refusals(401, 403, 404, 422)}, operation_id="get_todo")
def get_todo(request: SignedIn, todo_id: Id) -> Todo:
    """Return one of your todos."""
    return services.get_todo(todo_id=todo_id, user=request.auth)


@router.patch("/{todo_id}", response={200: TodoOut, **refusals(400, 401, 403, 404, 422)}, operation_id="update_todo")
def update_todo(request: SignedIn, todo_id: Id, body: TodoChanges) -> Todo:
    """Change one of your todos; what you leave out stays."""
    return editing.update_todo(todo_id=todo_id, user=request.auth, changes=body.model_dump(exclude_unset=True))


@router.delete("/{todo_id}", response={204: None, **refusals(401, 403, 404, 422)}, operation_id="delete_todo")
def delete_todo(request: SignedIn, todo_id: Id) -> Status[None]:
    """Delete one of your todos."""
    editing.delete_todo(todo_id=todo_id, user=request.auth)
    return Status(204, None)


def answer_due_time(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer as to any field that does not fit."""
    return refuse_fields([{"type": "due_time", "loc": ["body", "due_at"], "msg": str(error)}])
