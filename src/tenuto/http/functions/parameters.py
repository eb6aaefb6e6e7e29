"""From a request to the arguments of a function behind HTTP, by the function's annotations.

* A name that stands in the path comes from there.
* ``Client`` is the client of the host (``SyncClient`` in a ``def``), ``Request`` (Starlette's) the
  request itself.
* ``body``, and a parameter of a composite type (dataclass, struct, pydantic model, ``dict``, list
  of those), is the body, read as JSON.
* Anything else is a query parameter; a list of plain values may be given many times.

Mistakes are found where the function is decorated; what a caller sends wrong is refused as a whole,
naming the parameter and the place inside the body (promise ``bad_input_is_refused_whole``).
"""

import collections.abc
import enum
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NewType, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection, Request

from tenuto.client.client import Client
from tenuto.client.sync_client import SyncClient
from tenuto.http.bodies import check_depth
from tenuto.http.errors import HttpError
from tenuto.model.cuts import cut
from tenuto.model.errors import InputError, PayloadError
from tenuto.model.payload import Decode, decoder

_SCALARS: Final = frozenset({str, int, float, bool, Decimal, UUID, datetime, date, time, timedelta})
_MANY: Final = frozenset(
    {
        list,
        set,
        frozenset,
        tuple,
        collections.abc.Sequence,
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.Set,
    }
)
_SHOWN: Final = 80
_NO_DEFAULT: Final = inspect.Parameter.empty


class Source(enum.Enum):
    """Where an argument comes from."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    REQUEST = "request"
    CLIENT = "client"
    SYNC_CLIENT = "sync client"


class FunctionParameter(Struct, frozen=True, kw_only=True):
    """One parameter of a function behind HTTP.

    Attributes:
        name: Its name in the function, and in path or query.
        source: Where its argument comes from.
        annotation: Its type.
        is_many: Whether it may be given many times (query).
        default: What it is when it is not given; ``inspect.Parameter.empty`` for "must be given".
        by_keyword: Whether the function takes it by keyword only.
    """

    name: str
    source: Source
    annotation: Any
    is_many: bool = False
    default: Any = _NO_DEFAULT
    by_keyword: bool = False

    @property
    def is_required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is _NO_DEFAULT

    @property
    def is_optional_type(self) -> bool:
        """Whether it may be None."""
        return type(None) in get_args(plain_type(self.annotation))


class Given(Struct, frozen=True):
    """What one request gives.

    Attributes:
        path: What the path's parameters stand for.
        query: The query's values, by names in lower case.
        request: The request; its body is read through it.
        client: The host's client.
        sync_client: The same for functions in threads.
    """

    path: Mapping[str, str]
    query: Mapping[str, list[str]]
    request: Request
    client: Client
    sync_client: SyncClient


class Binding:
    """How requests become the arguments of one function.

    Args:
        function: The function.
        in_path: The parameters of the path, with the types of their converters.
        skipped: How many leading parameters are given by somebody else.

    Raises:
        InputError: a parameter cannot be filled from a request.
    """

    def __init__(
        self, function: Callable[..., Any], in_path: Mapping[str, type], skipped: int = 0
    ) -> None:
        annotations = _annotations(function)
        found = list(inspect.signature(function).parameters.values())[skipped:]
        self.parameters: tuple[FunctionParameter, ...] = tuple(
            _parameter(one, annotations.get(one.name, _NO_DEFAULT), in_path) for one in found
        )
        unused = in_path.keys() - {one.name for one in self.parameters}
        if unused:
            raise InputError(
                f"its path has {_listed(unused)}, which it does not take; add the parameter"
            )
        bodies = [one.name for one in self.parameters if one.source is Source.BODY]
        if len(bodies) > 1:
            raise InputError(
                f"it takes more than one body ({_listed(bodies)}); put them into one class"
            )
        self._readers = {one.name: _reader(one) for one in self.parameters}

    @property
    def body(self) -> FunctionParameter | None:
        """The parameter that is the body."""
        return next((one for one in self.parameters if one.source is Source.BODY), None)

    async def values(self, given: Given) -> tuple[Any, ...]:
        """The arguments of a call that is stored, by position. Defaults at the end are left out:
        they hold when the input is read.

        Raises:
            HttpError, RequestTooLargeError: as for :meth:`arguments`.
        """
        found, _by_keyword = await self.arguments(given)
        positional = [one for one in self.parameters if not one.by_keyword]
        while found and not positional[len(found) - 1].is_required:
            if found[-1] is not positional[len(found) - 1].default:
                break
            found.pop()
        return tuple(found)

    async def arguments(self, given: Given) -> tuple[list[Any], dict[str, Any]]:
        """The arguments for a call, by position and by keyword.

        Raises:
            HttpError: something is missing or does not fit.
            RequestTooLargeError: the body is longer than allowed.
        """
        by_position: list[Any] = []
        by_keyword: dict[str, Any] = {}
        for one in self.parameters:
            value = await self._value(one, given)
            if one.by_keyword:
                by_keyword[one.name] = value
            else:
                by_position.append(value)
        return by_position, by_keyword

    async def _value(self, parameter: FunctionParameter, given: Given) -> Any:  # noqa: ANN401 - the user's type
        name = parameter.name
        match parameter.source:
            case Source.REQUEST:
                return given.request
            case Source.CLIENT:
                return given.client
            case Source.SYNC_CLIENT:
                return given.sync_client
            case Source.PATH:
                return self._readers[name](given.path[name])
            case Source.QUERY:
                return self._from_query(parameter, given.query.get(name.lower()))
            case Source.BODY:
                return self._from_body(parameter, await given.request.body())

    def _from_query(self, parameter: FunctionParameter, texts: list[str] | None) -> Any:  # noqa: ANN401
        name = parameter.name
        if texts is None:
            if not parameter.is_required:
                return parameter.default
            if parameter.is_optional_type:
                return None
            raise HttpError(f"query parameter {name!r} is missing")
        if parameter.is_many:
            return self._readers[name](texts)
        if len(texts) > 1:
            raise HttpError(f"query parameter {name!r} is given {len(texts)} times; give it once")
        return self._readers[name](texts[0])

    def _from_body(self, parameter: FunctionParameter, body: bytes) -> Any:  # noqa: ANN401
        is_empty = not body.strip()
        if is_empty and not parameter.is_required:
            return parameter.default
        try:
            value = self._readers[parameter.name](b"null" if is_empty else body)
        except PayloadError as error:
            if is_empty:
                raise HttpError(f"the body is missing: {parameter.name!r}, as JSON") from None
            raise HttpError(f"body: {error}") from None
        check_depth(body)  # a payload could not hold it
        return value


def plain_type(annotation: object) -> Any:  # noqa: ANN401 - an annotation
    """A type without the names and the notes around it."""
    while True:
        if get_origin(annotation) is typing.Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__  # type: ignore[attr-defined]  # from 3.12 on
        else:
            return annotation


# --- what a parameter is --------------------------------------------------------------------------


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(
            f"an annotation cannot be resolved: {error}; its classes must be there at run time, "
            "defined before the function"
        ) from None


def _parameter(
    parameter: inspect.Parameter, annotation: object, in_path: Mapping[str, type]
) -> FunctionParameter:
    name = parameter.name
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise InputError(f"it takes *{name}, which no request can fill; name each parameter")
    source, annotation = _source(name, annotation, in_path)
    if source is Source.PATH and parameter.default is not _NO_DEFAULT:
        raise InputError(f"parameter {name!r} stands in its path, so it cannot have a default")
    return FunctionParameter(
        name=name,
        source=source,
        annotation=annotation,
        is_many=source is Source.QUERY and _is_many(annotation),
        default=parameter.default,
        by_keyword=parameter.kind is inspect.Parameter.KEYWORD_ONLY,
    )


def _source(name: str, annotation: Any, in_path: Mapping[str, type]) -> tuple[Source, Any]:  # noqa: ANN401
    plain = plain_type(annotation)
    if name in in_path:
        return Source.PATH, _in_path(name, annotation, in_path[name])
    if annotation is _NO_DEFAULT:
        return (Source.BODY, Any) if name == "body" else (Source.QUERY, str)
    if isinstance(plain, type) and issubclass(plain, Client):
        return Source.CLIENT, annotation
    if isinstance(plain, type) and issubclass(plain, SyncClient):
        return Source.SYNC_CLIENT, annotation
    if isinstance(plain, type) and issubclass(plain, HTTPConnection):
        if plain not in {Request, HTTPConnection}:
            raise InputError(f"parameter {name!r} must be starlette.requests.Request itself")
        return Source.REQUEST, annotation
    if name != "body" and (_is_scalar(annotation) or _is_many(annotation)):
        return Source.QUERY, annotation
    return Source.BODY, annotation


def _in_path(name: str, annotation: Any, kind: type) -> Any:  # noqa: ANN401 - annotations
    if annotation is _NO_DEFAULT:
        return kind
    plain = plain_type(annotation)
    if plain is kind or plain in {Any, object}:
        return kind if plain is not kind else annotation
    if kind is str and _is_scalar(annotation) and type(None) not in get_args(plain):
        return annotation
    wanted = getattr(annotation, "__name__", str(annotation))
    raise InputError(
        f"parameter {name!r} stands in its path as {kind.__name__}, but is annotated {wanted}"
    )


def _is_scalar(annotation: object) -> bool:
    """Whether a value of this type is sent as one text."""
    plain = plain_type(annotation)
    origin = get_origin(plain)
    if origin is Literal:
        return True
    if origin in {typing.Union, types.UnionType}:
        members = [one for one in get_args(plain) if one is not type(None)]
        return all(map(_is_scalar, members))
    return isinstance(plain, type) and (plain in _SCALARS or issubclass(plain, enum.Enum))


def _is_many(annotation: object) -> bool:
    """Whether a value of this type is sent as several texts."""
    plain = plain_type(annotation)
    origin, members = get_origin(plain), get_args(plain)
    if origin in {typing.Union, types.UnionType}:
        several = [one for one in members if one is not type(None)]
        return len(several) == 1 and _is_many(several[0])
    if origin is tuple and (len(members) != 2 or members[1] is not Ellipsis):  # noqa: PLR2004 - (T, ...)
        return False
    return origin in _MANY and _is_scalar(members[0])


# --- reading --------------------------------------------------------------------------------------


def _reader(parameter: FunctionParameter) -> Callable[[Any], Any]:
    match parameter.source:
        case Source.BODY:
            return _body_reader(parameter)
        case Source.PATH | Source.QUERY:
            return _text_reader(parameter)
        case Source.REQUEST | Source.CLIENT | Source.SYNC_CLIENT:
            return _unread


def _unread(value: object) -> object:
    return value


def _body_reader(parameter: FunctionParameter) -> Decode:
    try:
        return decoder(parameter.annotation)
    except PayloadError as error:
        raise InputError(
            f"parameter {parameter.name!r} cannot be read from a body: {error}"
        ) from None


def _text_reader(parameter: FunctionParameter) -> Callable[[str | list[str]], Any]:
    name, annotation = parameter.name, parameter.annotation
    try:
        msgspec.json.Decoder(annotation)
    except TypeError as error:
        raise InputError(f"parameter {name!r} cannot be read from text: {error}") from None
    where = f"{parameter.source.value} parameter {name!r}"
    choices = f"expected {' or '.join(map(str, _choices(annotation)))}"

    def read(given: str | list[str]) -> Any:  # noqa: ANN401 - what the annotation says
        try:
            value = msgspec.convert(given, annotation, strict=False)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at ")
            index = place.strip("`$[]")
            text = given[int(index)] if index.isdigit() else given
            expected = choices if reason.startswith("Invalid enum") else _expected(reason)
            raise HttpError(f"{where}: {expected}, got {_shown(text)}") from None
        if not _is_finite(value):
            raise HttpError(f"{where}: expected a finite number, got {_shown(given)}")
        return value

    return read


def _choices(annotation: object) -> list[object]:
    plain = plain_type(annotation)
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return [one.value for one in plain]
    members = get_args(plain)
    if get_origin(plain) is Literal:
        return list(members)
    return [choice for member in members for choice in _choices(member)]


def _expected(reason: str) -> str:
    """What msgspec says, without what it says of the text's own type."""
    return reason.partition(", got ")[0].partition(" '")[0].replace("Expected", "expected")


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN else cut(text, _SHOWN - 3)


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_is_finite, value))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
