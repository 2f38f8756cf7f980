"""The HTTP API: its routers, and the answer to each error a domain raises."""

from http import HTTPStatus

from django.contrib.admin.views.decorators import staff_member_required
from ninja import NinjaAPI

from project.desk.api import answer_task_errors
from project.desk.api import router as tasks_router
from project.environment import environment
from project.web.errors import answer, answer_common_errors
from reports.api import answer_report_errors, exports_router, todos_router
from todo.api import answer_due_time
from todo.api import router as todo_router
from todo.errors import DueTimeError, TodoForbiddenError, TodoNotFoundError
from users.api import answer_too_many_guesses, auth_router, users_router
from users.auth import bearer
from users.errors import (
    PermissionRequiredError,
    SessionNotFoundError,
    StaffRequiredError,
    TakenError,
    TooManyGuessesError,
    UnauthenticatedError,
    UserNotFoundError,
    WeakPasswordError,
)

api = NinjaAPI(
    title="Todos",
    version="1.0.0",
    urls_namespace="api",
    docs_decorator=staff_member_required if environment.is_production else None,
)
api.add_router("/v1/auth", auth_router)
api.add_router("/v1/users", users_router)
# Before the todos, where `export` would be one of them.
api.add_router("/v1/todos", todos_router)
api.add_router("/v1/todos", todo_router)
api.add_router("/v1/exports", exports_router)
api.add_router("/v1/tasks", tasks_router, auth=bearer)

answer_common_errors(api)
answer_task_errors(api)
answer_report_errors(api)
answer(api, UnauthenticatedError, HTTPStatus.UNAUTHORIZED)
answer(api, WeakPasswordError, HTTPStatus.BAD_REQUEST)
answer(api, TakenError, HTTPStatus.CONFLICT)
answer(api, StaffRequiredError, HTTPStatus.FORBIDDEN)
answer(api, PermissionRequiredError, HTTPStatus.FORBIDDEN)
answer(api, SessionNotFoundError, HTTPStatus.NOT_FOUND)
api.add_exception_handler(TooManyGuessesError, answer_too_many_guesses)
answer(api, UserNotFoundError, HTTPStatus.NOT_FOUND)
answer(api, TodoNotFoundError, HTTPStatus.NOT_FOUND)
answer(api, TodoForbiddenError, HTTPStatus.FORBIDDEN)
api.add_exception_handler(DueTimeError, answer_due_time)
