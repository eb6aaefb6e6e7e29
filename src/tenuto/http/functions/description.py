"""What functions behind HTTP say of themselves in the OpenAPI document: their parameters' types.

What they answer is their own business: nothing is promised of it.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.functions.durable import IDEMPOTENCY_KEY
from tenuto.http.functions.parameters import FunctionParameter, Source
from tenuto.http.functions.triggers import HttpTrigger
from tenuto.http.options import Role
from tenuto.http.routing import Handler, Route

_ROLES: Final = {"anonymous": None, "function": Role.OPERATE, "admin": Role.ADMIN}

_KEY: Final = Parameter(
    name=IDEMPOTENCY_KEY,
    text="Requests with the same one start one instance, and have one answer.",
    place="header",
)
_DURABLE: Final = {
    200: Answer(text="What the function answered; other statuses if it chose them.", kind=object),
    303: Answer(
        text="It goes on; its answer will be at this address.",
        headers={"Location": "The address.", "Retry-After": "Seconds."},
    ),
}


def described(trigger: HttpTrigger, handler: Handler) -> Iterator[Route]:
    """A route per method, for the document alone: requests are matched by templates."""
    operation = Operation(
        summary=_summary(trigger),
        parameters=tuple(
            Parameter(
                name=one.name,
                text=f"A parameter of the function {trigger.name}.",
                schema=_schema(one.annotation),
                required=one.is_required and not one.is_optional_type,
            )
            for one in trigger.binding.parameters
            if one.source is Source.QUERY
        )
        + (() if trigger.durable is None else (_KEY,)),
        path_schemas={
            one.name: _schema(one.annotation)
            for one in trigger.binding.parameters
            if one.source is Source.PATH
        },
        body=_body(trigger.binding.body),
        answers={} if trigger.durable is None else _DURABLE,
        errors=(404,) if trigger.durable is None else (404, 422, 500),
        tag="functions",
    )
    for method in trigger.methods:
        yield Route(
            method=method,
            path=trigger.plain_path,
            role=_ROLES[trigger.auth],
            handler=handler,
            operation=operation,
        )


def _summary(trigger: HttpTrigger) -> str:
    text = inspect.getdoc(trigger.function)
    return text.partition("\n")[0] if text else trigger.name


def _schema(annotation: object) -> Mapping[str, Any]:
    """The schema of a value that is sent as text; empty (any text) when it names other types."""
    schema = msgspec.json.schema(annotation)
    return {} if "$defs" in schema else schema


def _body(body: FunctionParameter | None) -> object:
    """The type of the body; ``object`` (any JSON) for one that only other libraries understand."""
    if body is None:
        return None
    try:
        hash(body.annotation)
        msgspec.json.schema(body.annotation)
    except TypeError:
        return object
    return object if body.annotation is Any else body.annotation
