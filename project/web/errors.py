"""One shape for everything the API refuses: `{"detail": …}`."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, Throttled, ValidationError

API_PREFIX = "/v1/"
#: So many mistakes of one request are told, and how many more there are: enough to see what is wrong with the client.
MOST_TOLD = 20
log = structlog.get_logger(__name__)


class Refusal(Schema):
    """Why a request was refused."""

    detail: str


class InvalidField(Schema):
    """One thing that is wrong with what was sent."""

    type: str
    loc: list[str | int]
    msg: str


class Invalid(Schema):
    """Everything that is wrong with what was sent."""

    detail: list[InvalidField]


def refusals(*statuses: int) -> dict[int, type[Schema]]:
    """Return the `response=` entries of an operation that may answer with these statuses."""
    return {status: Invalid if status == HTTPStatus.UNPROCESSABLE_ENTITY else Refusal for status in statuses}


def answer(api: NinjaAPI, error_type: type[Exception], status: HTTPStatus) -> None:
    """Let `api` answer an error with `status` and the error's own words."""

    def respond(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        return refuse(status, str(error))

    api.add_exception_handler(error_type, respond)


def answer_common_errors(api: NinjaAPI) -> None:
    """Let `api` answer what may go wrong in any operation."""
    api.add_exception_handler(ValidationError, _invalid)
    answer(api, AuthenticationError, HTTPStatus.UNAUTHORIZED)
    api.add_exception_handler(Throttled, _too_many)
    api.add_exception_handler(RequestDataTooBig, _too_large)
    api.add_exception_handler(OperationalError, _database_down)
    api.add_exception_handler(Exception, _unforeseen)


def refuse(status: HTTPStatus, detail: str) -> HttpResponse:
    """Make the response of a refused request."""
    response = JsonResponse({"detail": detail}, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def refuse_fields(mistakes: Sequence[Mapping[str, Any]]) -> HttpResponse:
    """Make the response of a request that does not fit; of many entries like `InvalidField`, some are told."""
    told = [*mistakes[:MOST_TOLD]]
    if len(mistakes) > len(told):
        told.append({"type": "too_many", "loc": [], "msg": f"and {len(mistakes) - len(told):,} more"})
    return JsonResponse({"detail": told}, status=HTTPStatus.UNPROCESSABLE_ENTITY)


@csrf_exempt
def no_such_page(_request: HttpRequest) -> HttpResponse:
    """Answer an address under the API's prefix that nothing listens to."""
    return refuse(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.phrase)


def _invalid(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    return refuse_fields(cast("ValidationError", error).errors)


def _too_many(_request: HttpRequest, _error: Exception | type[Exception]) -> HttpResponse:
    return refuse(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests")  # ninja adds Retry-After


def _too_large(_request: HttpRequest, _error: Exception | type[Exception]) -> HttpResponse:
    return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request body is too large")


def _database_down(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    log.error("database_does_not_answer", exc_info=error, cure="see whether PostgreSQL answers at DATABASE_URL")
    return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Service is unavailable")


def _unforeseen(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    raise error  # Django logs it and answers 500, and the middleware gives that the common shape


class ErrorShapeMiddleware:
    """Give the common shape to refusals of Django's own: wrong host, wrong method, a crash."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        response = self.get_response(request)
        if not request.path.startswith(API_PREFIX) or not _is_shapeless(response):
            return response
        # The answer itself is changed, and keeps the headers that others have set.
        shaped = refuse(HTTPStatus(response.status_code), HTTPStatus(response.status_code).phrase)
        response.content = shaped.content
        for name, value in (*shaped.items(), ("Content-Length", str(len(shaped.content)))):
            response[name] = value
        return response


def _is_shapeless(response: HttpResponse) -> bool:
    is_json = response.get("Content-Type", "").startswith("application/json")
    return response.status_code >= HTTPStatus.BAD_REQUEST and not is_json
