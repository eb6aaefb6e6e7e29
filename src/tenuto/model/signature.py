"""The input convention: how the arguments of a user function become one JSON value, and back.

Owns the rule "with zero or one parameter the input is the bare JSON value; with more it is a JSON
object keyed by parameter name", and what may be a parameter. Never calls the function, and never
guesses: an argument too many, a missing or unknown name, a value of another class than annotated is
refused, naming function and parameter.

What may be a parameter
    * Positional parameters, with or without defaults. A default is not stored: it is applied when
      the input is read, so a new default holds for instances that were started without that
      argument.
    * Keyword-only parameters with a default are no inputs and keep it. Without a default, and
      ``*args`` or ``**kwargs``, the function is refused, since nothing could ever reach them.
    * With exactly one parameter, no input at all (None, not the text ``null``) means its default;
      without a default it means None where the annotation allows that.
"""

import collections.abc
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, TypeAlias, get_args, get_origin

import msgspec

from tenuto.model.errors import PayloadError, SignatureError
from tenuto.model.payload import Decode, Writer, decoder, encode, refuse_ambiguous
from tenuto.model.room import encoded

Skip: TypeAlias = int | Callable[[object], bool]
"""Leading parameters that are injected, not inputs: how many, or which annotations (resolved where
possible).
"""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NO_DEFAULT = inspect.Parameter.empty

_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Signature:
    """The inputs and the result of one user function.

    Made by :meth:`of`. Types are resolved at first use, so functions may mention classes that are
    defined after them.

    Example:
        >>> def book(city: str, nights: int = 1) -> list[str]: ...
        >>> signature = Signature.of(book)
        >>> signature.encode_arguments(("Oslo", 3))
        '{"city":"Oslo","nights":3}'
        >>> signature.decode_arguments('{"city":"Oslo"}')
        ('Oslo', 1)
    """

    def __init__(
        self, function: Callable[..., Any], parameters: list[inspect.Parameter], skipped: int
    ) -> None:
        self.function = function
        self.name: str = _name(function)
        self.parameters: tuple[inspect.Parameter, ...] = tuple(parameters)
        self.skipped = skipped
        """How many leading parameters are injected and no inputs."""
        self._names = tuple(one.name for one in parameters)
        self._name_set = frozenset(self._names)
        self._required = sum(one.default is _NO_DEFAULT for one in parameters)

    @property
    def takes_input(self) -> bool:
        """Whether there is any input that it takes."""
        return bool(self.parameters)

    @classmethod
    def of(cls, function: Callable[..., Any], skip: Skip = 0) -> "Signature":
        """Read the parameters of a function.

        Args:
            function: Any callable; decorated ones should use :func:`functools.wraps`.
            skip: How many leading parameters are injected, or a predicate on annotations; then the
                parameters up to the first one that fails it are injected.

        Errors:
            SignatureError: When the function has parameters that no stored input can fill.
        """
        name = _name(function)
        parameters = list(_inspected(function).parameters.values())
        for one in parameters:
            _refuse_unreachable(one, name)
        inputs = [one for one in parameters if one.kind in _POSITIONAL]
        skipped = skip if isinstance(skip, int) else _count_leading(function, inputs, skip)
        if skipped > len(inputs):
            raise SignatureError(
                f"{name} takes {len(inputs)} parameters, but needs {skipped} for what is injected"
            )
        return cls(function, inputs[skipped:], skipped)

    def refuse_ambiguous(self) -> None:
        """Look for unions that JSON cannot tell apart. Annotations that mention what is not defined
        yet are left to :meth:`prepare`.

        Errors:
            SignatureError: naming function, parameter, union and what to do.
        """
        kinds = [
            (self._owner(index), functools.partial(_resolve, self.function, one.annotation))
            for index, one in enumerate(self.parameters)
        ]
        kinds.append((self._result_owner, functools.partial(_result_type, self.function)))
        for owner, kind in kinds:
            try:
                annotation = kind(owner)
            except PayloadError:
                continue
            try:
                refuse_ambiguous(annotation)
            except PayloadError as error:
                raise SignatureError(str(error.of(owner))) from None

    def prepare(self) -> None:
        """Resolve annotations and build decoders now, to find mistakes before the first call.

        Errors:
            PayloadError: When a type is unknown or can never be rebuilt; it names function and
                parameter.
            SignatureError: When JSON cannot tell the members of a union apart.
        """
        self.refuse_ambiguous()
        _ = self._writers, self._decoders, self._result, self._result_writer

    def encode_arguments(self, args: tuple[Any, ...]) -> str | None:
        """Write the arguments of a call, given by position.

        Returns:
            JSON text, or None when no argument is given.

        Errors:
            PayloadError: When there are too many or too few, when one does not fit its annotation,
                cannot be stored, or would come back as another value; int is accepted for float.
        """
        if not self._required <= len(args) <= len(self._names):
            raise self._miscounted(len(args))
        writers = self._writers
        if len(writers) == 1 and args:
            return self._write(0, args[0])
        if not args:
            return None
        for value, writer in zip(args, writers):  # noqa: B905 - zip is slow with a keyword
            if not writer.is_exact(value):
                parts = {
                    name: msgspec.Raw(self._write(index, args[index]).encode())
                    for index, name in enumerate(self._names[: len(args)])
                }
                return encoded(parts).decode()
        try:
            return encode(dict(zip(self._names, args, strict=False)))
        except PayloadError:
            return self._find_refused(args)

    def encode_result(self, value: object) -> str:
        """Write what the function gave.

        Errors:
            PayloadError: When it does not fit the annotation, cannot be stored, or would come back
                as another value.
        """
        writer = self._result_writer
        try:
            return encode(value) if type(value) in writer.types else writer(value)
        except PayloadError as error:
            raise error.of(self._result_owner) from error

    def decode_arguments(self, text: str | None) -> tuple[Any, ...]:
        """Read a stored input into the arguments for a call, defaults included; injected ones are
        not.

        Errors:
            PayloadError: When the input misses a parameter without a default, has an unknown name,
                is given to a function that takes none, or does not fit an annotation.
        """
        match len(self._names):
            case 0:
                if text is not None and text.strip() != "null":
                    raise PayloadError(
                        "there is an input, but it takes no arguments", path="", owner=self.name
                    )
                return ()
            case 1:
                return (self._single(text),)
            case _:
                return self._by_name(text)

    def decode_result(self, text: str | None) -> object:
        """Read a stored result as the type that the function returns.

        The annotation of an ``async def`` is that type; for a generator it is the third argument of
        ``Generator``, for a plain function that returns an awaitable it is what that gives.

        Errors:
            PayloadError: When the text does not fit the annotation.
        """
        try:
            return self._result("null" if text is None else text)
        except PayloadError as error:
            raise error.of(self._result_owner) from error

    @functools.cached_property
    def _annotations(self) -> list[object]:
        return [
            _resolve(self.function, one.annotation, self._owner(i))
            for i, one in enumerate(self.parameters)
        ]

    @functools.cached_property
    def _writers(self) -> list[Writer]:
        owners = map(self._owner, range(len(self._names)))
        return [
            self._writer(one, owner) for one, owner in zip(self._annotations, owners, strict=True)
        ]

    @functools.cached_property
    def _decoders(self) -> list[Decode]:
        return [
            self._decoder(one, self._owner(index)) for index, one in enumerate(self._annotations)
        ]

    @functools.cached_property
    def _result_type(self) -> object:
        return _result_type(self.function, self._result_owner)

    @functools.cached_property
    def _result(self) -> Decode:
        return self._decoder(self._result_type, self._result_owner)

    @functools.cached_property
    def _result_writer(self) -> Writer:
        return self._writer(self._result_type, self._result_owner)

    @property
    def _result_owner(self) -> str:
        return f"result of {self.name}"

    def _writer(self, annotation: object, owner: str) -> Writer:
        try:
            return Writer(annotation)
        except PayloadError as error:
            raise error.of(owner) from error

    def _write(self, index: int, value: object) -> str:
        writer = self._writers[index]
        try:
            return encode(value) if type(value) in writer.types else writer(value)
        except PayloadError as error:
            raise error.of(self._owner(index)) from error

    def _decoder(self, annotation: object, owner: str) -> Decode:
        try:
            return decoder(annotation)
        except PayloadError as error:
            raise error.of(owner) from error

    def _single(self, text: str | None) -> object:
        default = self.parameters[0].default
        if text is None and default is not _NO_DEFAULT:
            return default
        try:
            return self._decoders[0]("null" if text is None else text)
        except PayloadError as error:
            if text is None:
                raise self._lacking([self._names[0]]) from None
            raise error.of(self._owner(0)) from error

    def _by_name(self, text: str | None) -> tuple[Any, ...]:
        try:
            given = _read_object("{}" if text is None else text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = f"the input must be a JSON object with the keys {self._listed()}: {error}"
            raise PayloadError(reason, path="", owner=self.name) from error
        if given.keys() != self._name_set:
            self._check_names(given)
        return tuple(
            [
                self._read(index, given[one.name]) if one.name in given else one.default
                for index, one in enumerate(self.parameters)
            ]
        )

    def _check_names(self, given: dict[str, msgspec.Raw]) -> None:
        unknown = [name for name in given if name not in self._name_set]
        if unknown:
            listed = ", ".join(repr(name) for name in unknown)
            reason = f"the input has the unknown keys {listed}; known are {self._listed()}"
            raise PayloadError(reason, path="", owner=self.name)
        lacking = [one.name for one in self.parameters if one.default is _NO_DEFAULT]
        lacking = [name for name in lacking if name not in given]
        if lacking:
            raise self._lacking(lacking)

    def _read(self, index: int, part: msgspec.Raw) -> object:
        try:
            return self._decoders[index](bytes(part))
        except PayloadError as error:
            raise error.of(self._owner(index)) from error

    def _find_refused(self, args: tuple[Any, ...]) -> str:
        """Say which argument was refused; the path then starts at that argument."""
        for index, value in enumerate(args):
            try:
                encode(value)
            except PayloadError as error:
                raise error.of(self._owner(index)) from error
        raise PayloadError("the arguments are nested too deep", path="", owner=self.name)

    def _owner(self, index: int) -> str:
        return f"argument {self._names[index]!r} of {self.name}"

    def _listed(self) -> str:
        return ", ".join(repr(name) for name in self._names)

    def _lacking(self, names: list[str]) -> PayloadError:
        reason = f"the input lacks {', '.join(repr(name) for name in names)}"
        return PayloadError(reason, path="", owner=self.name)

    def _miscounted(self, given: int) -> PayloadError:
        most = len(self._names)
        takes = f"{most}" if self._required == most else f"{self._required} to {most}"
        listed = f" ({self._listed()})" if most else ""
        return PayloadError(
            f"it takes {takes} arguments{listed}, {given} given", path="", owner=self.name
        )


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _refuse_unreachable(parameter: inspect.Parameter, owner: str) -> None:
    if parameter.kind in _VARIADIC:
        stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
        raise SignatureError(
            f"{owner} takes {stars}{parameter.name}, but inputs are stored by parameter name;"
            " name each parameter, and use functools.wraps in decorators"
        )
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is _NO_DEFAULT:
        raise SignatureError(
            f"{owner} needs the keyword-only argument {parameter.name!r}, but arguments are passed"
            " by position; move it before the '*' or give it a default"
        )


def _inspected(function: Callable[..., object]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # pragma: no cover - the same calls, with one more argument
        import annotationlib  # noqa: PLC0415 - new in 3.14

        # Annotations may mention what is not defined yet; they stay references until resolved.
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def _count_leading(
    function: Callable[..., object],
    inputs: list[inspect.Parameter],
    belongs: Callable[[object], bool],
) -> int:
    for count, one in enumerate(inputs):
        try:
            annotation = _resolve(function, one.annotation, one.name)
        except PayloadError:  # imported for type checkers only: the predicate gets the text
            annotation = one.annotation
        if not belongs(annotation):
            return count
    return len(inputs)


def _resolve(function: Callable[..., object], annotation: object, owner: str) -> object:
    """The type that an annotation means; text is looked up where the function was defined."""
    if annotation is inspect.Signature.empty:
        return Any
    defined = _defined(function)
    scope = getattr(defined, "__globals__", None) or getattr(defined.__call__, "__globals__", {})
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, globalns=scope, include_extras=True)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        reason = (
            f"the annotation {annotation!r} cannot be resolved: {error};"
            " its classes must be there at run time"
        )
        raise PayloadError(reason, path="", owner=owner) from error


def _defined(function: Callable[..., object]) -> Any:  # noqa: ANN401 - any callable
    """The function that was written, below partials and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _result_type(function: Callable[..., object], owner: str) -> object:
    plain = _defined(function)
    annotation = _resolve(function, _inspected(function).return_annotation, owner)
    if annotation in (typing.NoReturn, typing.Never):
        return None  # it only raises
    origin, arguments = get_origin(annotation), get_args(annotation)
    if inspect.iscoroutinefunction(plain):
        return annotation
    if inspect.isgeneratorfunction(plain):
        if origin is not collections.abc.Generator:
            return Any
        _yielded, _sent, returned = (*arguments, Any, Any)[:3]  # PEP 696 lets the last two out
        return returned
    if arguments and isinstance(origin, type) and issubclass(origin, collections.abc.Awaitable):
        return arguments[-1]
    return annotation
