"""A task function's arguments and result as pydantic sees them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, with_config
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import from_json
from typing_extensions import TypedDict  # pydantic cannot read typing.TypedDict before Python 3.12

from project.tasks.errors import TaskArgumentError, TaskDefinitionError
from project.tasks.keys import check_key
from project.tasks.outcome import STORED_MEMBERS, result_type
from project.values.json_values import UnstorableError, json_of

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class TaskSignature:
    """Validates what goes into and comes out of one task function.

    Args:
        name: The task's name, for messages.
        fn: The function, every parameter named and annotated.
    """

    def __init__(self, *, name: str, fn: Callable[..., Any]) -> None:
        self.name = name
        self.fn = fn
        self._signature = inspect.signature(fn)

    def to_json(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Validate a call and return its arguments by name, as plain JSON values.

        Raises:
            TaskArgumentError: If they do not fit the signature.
        """
        valid = self._validate(self.named(args, kwargs) if args else kwargs)
        try:
            dumped: dict[str, Any] = from_json(json_of(self._arguments, valid))
        except ValueError as error:
            raise TaskArgumentError(self.name, [_problem_in(error)]) from None
        return dumped

    def from_json(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Turn stored arguments into new Python values for the function.

        Raises:
            TaskArgumentError: If they do not fit the code that runs them.
        """
        return self._validate(arguments)

    def result_to_json(self, result: object) -> str:
        """Validate a return value against the annotation and make it JSON text.

        Raises:
            ValueError: If the function did not return what it declares, or if that could not be read again.
        """
        return json_of(self._result, self._result.validate_python(result)).decode()

    def result_from_json(self, result: object) -> Any:
        """Turn a stored result into what the function returned."""
        return self._result.validate_python(result)

    @property
    def first_parameter(self) -> str:
        """The name of the parameter that takes the result of the step before, in a chain."""
        return next(iter(self._signature.parameters), "")

    def check_keys(self, functions: Mapping[str, Callable[..., object]]) -> None:
        """Check that functions of a call's arguments can be called with those of each call.

        Args:
            functions: The functions, by the name of the option that each is.

        Raises:
            TaskDefinitionError: If one cannot.
        """
        for option, function in functions.items():
            check_key(function, option=option, task=self.name, of=self._signature)

    def check(self) -> None:
        """Build everything that is built on first use.

        Raises:
            TaskDefinitionError: If the function cannot be a task.
        """
        _ = self._arguments, self._result

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, unchecked.

        Raises:
            TaskArgumentError: If there are too many, or two of one name.
        """
        try:
            return self._signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise TaskArgumentError(self.name, [("call", str(error))]) from None

    def _validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            # Not by the adapter, which would first look at ten options.
            valid: dict[str, Any] = self._arguments.validator.validate_python(arguments)
        except ValidationError as error:
            raise TaskArgumentError(self.name, _problems(error)) from None
        return valid

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations of the parameters and of the result."""
        return get_type_hints(self.fn, include_extras=True)

    @cached_property
    def outcomes(self) -> dict[str, TypeAdapter[Any]]:
        """For each parameter that asks for the outcomes of a batch's members, what their results must be."""
        return {
            name: self._adapter(of, of=f"the results that {name!r} asks for")
            for name in self._signature.parameters
            if (of := result_type(self.hints.get(name))) is not None
        }

    @cached_property
    def _arguments(self) -> TypeAdapter[dict[str, Any]]:
        fields = {name: self._field(parameter) for name, parameter in self._signature.parameters.items()}
        arguments = TypedDict(f"{self.fn.__name__}_arguments", fields)  # type: ignore[misc]  # made of the parameters
        return self._adapter(with_config(ConfigDict(extra="forbid"))(arguments), of="its arguments")

    @cached_property
    def _result(self) -> TypeAdapter[Any]:
        if "return" not in self.hints:
            raise TaskDefinitionError(f"Task {self.name!r} must annotate what it returns (None if nothing).")
        return self._adapter(self.hints["return"], of="its result")

    def _field(self, parameter: inspect.Parameter) -> Any:
        if parameter.kind not in _NAMED:
            raise TaskDefinitionError(f"Task {self.name!r} must name its parameters: {parameter} cannot be stored.")
        if parameter.name not in self.hints:
            raise TaskDefinitionError(f"Task {self.name!r} must annotate its parameter {parameter.name!r}.")
        hint = STORED_MEMBERS if parameter.name in self.outcomes else self.hints[parameter.name]
        return hint if parameter.default is inspect.Parameter.empty else NotRequired[hint]

    def _adapter(self, annotation: Any, *, of: str) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(annotation)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            reason = str(error).splitlines()[0]
            raise TaskDefinitionError(f"Task {self.name!r}: {of} cannot be turned into JSON: {reason}") from None


def _problem_in(error: ValueError) -> tuple[str, str]:
    if isinstance(error, UnstorableError) and error.path:
        return ".".join(map(str, error.path)), error.reason
    return "call", str(error)


def _problems(error: ValidationError) -> list[tuple[str, str]]:
    return [(".".join(map(str, e["loc"])) or "call", e["msg"]) for e in error.errors(include_url=False)]
