"""The OpenAPI document, made from the table of routes.

It promises what the routes say of themselves and nothing else, so it is kept true by tests that
call every operation with all sorts of input.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import JSON, ErrorBody
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ALWAYS: Final = (400, 408, 431, 500, 503)
_WITH_KEYS: Final = (401, 403)
_WITHOUT_KEYS: Final = (403,)
"""For web pages of other origins, and for callers by a foreign name."""

_WITH_BODY: Final = (413,)
_REFERENCE: Final = "#/components/schemas/{name}"
_ERROR: Final[dict[str, Any]] = {
    JSON: {"schema": {"$ref": _REFERENCE.format(name=ErrorBody.__name__)}}
}
_TEXT: Final = {"type": "string"}
_SCHEMES: Final = {
    "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "query": {"type": "apiKey", "in": "query", "name": "code"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


class OpenApi:
    """Serves the document.

    Args:
        links: Says where the server is.
        version: The version of Tenuto.
        has_keys: Whether callers need a key.
    """

    def __init__(self, links: Links, version: str, *, has_keys: bool) -> None:
        self._links = links
        self._version = version
        self._has_keys = has_keys
        self._document: dict[str, Any] = {}

    def describe(self, routes: Iterable[Route]) -> None:
        """Say what there is; called once all routes are known."""
        self._document = document(routes, self._version, has_keys=self._has_keys)

    def routes(self) -> list[Route]:
        """The route at which the document is found."""
        return bound(_ENDPOINTS, self)

    async def serve(self, call: Call) -> Response:
        return json_answer({**self._document, "servers": [{"url": self._links.base(call)}]})


_THIS: Final = Operation(
    summary="This document",
    tag="server",
    answers={200: Answer(text="The OpenAPI 3.1 document of this server.", kind=dict[str, Any])},
)
_ENDPOINTS: Final = (Endpoint("GET", "/openapi.json", Role.READ, OpenApi.serve, _THIS),)


def document(routes: Iterable[Route], version: str, *, has_keys: bool) -> dict[str, Any]:
    """The OpenAPI document of these routes.

    Args:
        routes: What there is.
        version: The version of Tenuto.
        has_keys: Whether callers need a key.
    """
    shown = [route for route in routes if route.operation.is_documented]
    schemas = _Schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        for path in route.paths:
            operations = paths.setdefault(path, {})
            operations[route.method.lower()] = _operation(route, path, schemas, has_keys=has_keys)
    components: dict[str, Any] = {"schemas": schemas.components}
    if has_keys:
        components["securitySchemes"] = _SCHEMES
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenuto", "version": version},
        "paths": paths,
        "components": components,
    }


class _Schemas:
    """The JSON schemas of all types that routes name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        kinds: list[Any] = [ErrorBody]
        for route in routes:
            operation = route.operation
            kinds += [operation.body, *(answer.kind for answer in operation.answers.values())]
        self._kinds = [kind for kind in kinds if kind not in {None, object}]
        schemas, self.components = msgspec.json.schema_components(
            self._kinds, ref_template=_REFERENCE
        )
        self._schemas = list(schemas)

    def of(self, kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
        return {} if kind is object else self._schemas[self._kinds.index(kind)]


def _operation(route: Route, path: str, schemas: _Schemas, *, has_keys: bool) -> dict[str, Any]:
    operation = route.operation
    words = re.findall(r"\w+", path.rpartition("durabletask")[2])
    made: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *words]),
        "summary": operation.summary,
        "parameters": [
            *(_path_parameter(name, operation) for name in _PATH_PARAMETER.findall(path)),
            *(_parameter(parameter) for parameter in operation.parameters),
        ],
        "responses": _responses(route, schemas, has_keys=has_keys),
    }
    if operation.tag:
        made["tags"] = [operation.tag]
    if operation.body is not None:
        made["requestBody"] = {
            "required": operation.body_required,
            "content": {JSON: {"schema": schemas.of(operation.body)}},
        }
    if has_keys and route.role is not None:
        made["security"] = [{name: []} for name in _SCHEMES]
        made["description"] = f"Needs a key with the role {route.role.value} or a higher one."
    return made


def _path_parameter(name: str, operation: Operation) -> dict[str, Any]:
    schema = operation.path_schemas.get(name) or {**_TEXT, "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.text,
        "required": parameter.required,
        "schema": parameter.schema or _TEXT,
    }


def _responses(route: Route, schemas: _Schemas, *, has_keys: bool) -> dict[str, Any]:
    operation = route.operation
    made: dict[str, Any] = {
        str(status): _answer(answer, schemas) for status, answer in operation.answers.items()
    }
    statuses = {*_ALWAYS, *operation.errors}
    if not has_keys:
        statuses.update(_WITHOUT_KEYS)
    elif route.role is not None:
        statuses.update(_WITH_KEYS)
    if operation.body is not None:
        statuses.update(_WITH_BODY)
    for status in sorted(statuses):
        if str(status) not in made:
            made[str(status)] = {"description": HTTPStatus(status).phrase, "content": _ERROR}
    if not operation.answers and 501 not in operation.errors:  # noqa: PLR2004 - Not Implemented
        made["default"] = {"description": "Whatever the function answers."}
    return made


def _answer(answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.text}
    if answer.kind is not None:
        made["content"] = {answer.media_type: {"schema": schemas.of(answer.kind)}}
        if answer.pages:
            made["content"]["text/html"] = {"schema": _TEXT}
    if answer.headers:
        made["headers"] = {
            name: {"description": text, "schema": _TEXT} for name, text in answer.headers.items()
        }
    return made
