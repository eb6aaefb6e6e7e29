"""What a route says of itself, for the OpenAPI document. Pure data."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Parameter(Struct, frozen=True, kw_only=True):
    """A query or header parameter.

    Attributes:
        name: As it is sent.
        text: What it does.
        schema: Its JSON schema; empty for any text.
        place: ``query`` or ``header``.
        required: Whether a request without it is refused.
    """

    name: str
    text: str
    schema: Mapping[str, Any] = {}
    place: str = "query"
    required: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """One of the answers of a route.

    Attributes:
        text: When it is given.
        kind: The type of its JSON body; None for no body.
        headers: Names of its headers, with what they hold.
        media_type: Of the body.
        pages: Whether it comes as a page of HTML to browsers.
    """

    text: str
    kind: Any = None
    headers: Mapping[str, str] = {}
    media_type: str = "application/json"
    pages: bool = False


class Operation(Struct, frozen=True, kw_only=True):
    """What a route does, takes and answers.

    Attributes:
        summary: What it does, in a few words.
        parameters: Of query and headers; those of the path stand in the route's path.
        path_schemas: JSON schemas of path parameters; any text by default.
        body: The type of the body, ``object`` for any JSON; None for no body.
        body_required: Whether a request without a body is refused.
        answers: By status. Empty for a route that is not described further.
        errors: Statuses that come as an error, beside those every route can give.
        tag: The chapter it belongs to.
        is_documented: Whether it stands in the document at all.
    """

    summary: str = ""
    parameters: tuple[Parameter, ...] = ()
    path_schemas: Mapping[str, Mapping[str, Any]] = {}
    body: Any = None
    body_required: bool = False
    answers: Mapping[int, Answer] = {}
    errors: tuple[int, ...] = ()
    tag: str = ""
    is_documented: bool = True
