"""The registry: which functions an app has, under which names.

Owns the decorators, the checks that a function must pass, and the lookups by name. A function that
could never run, or not as its author means, is refused where it is decorated, with file and line
(promise ``bad_input_is_refused_whole``). Never runs a function.
"""

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn, Protocol, TypeVar, TypeVarTuple, final, overload

from tenuto.engine.program import TimerFunction, TriggeredFunction
from tenuto.functions.activity_context import ActivityContext, running_activity
from tenuto.functions.locating import place_of, standing_at
from tenuto.functions.replay_hints import unreplayable_imports
from tenuto.model.errors import (
    InputError,
    LimitError,
    RegistrationError,
    SignatureError,
    UnknownFunctionError,
)
from tenuto.model.retry import RetryPolicy
from tenuto.model.signature import Signature
from tenuto.orchestration.context import Context
from tenuto.orchestration.references import (
    ActivityFunction,
    AnyActivity,
    AnyOrchestrator,
    OrchestratorFunction,
)

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
S = TypeVar("S", bound=Callable[..., Any])

TokenSource = Callable[..., str | Awaitable[str]]
"""Gives an access token; takes a ``ManagedIdentityTokenSource`` or nothing."""

_MAX_NAME = 256

RESERVED = "BuiltIn::"
"""How the names of Tenuto's own activities begin."""


@final
class _Unspecific:
    """Fits only parameters that take anything (``Any``, ``object``, no annotation).

    The overloads below try it first, so that such a parameter is not taken for the context.
    """

    __hash__ = None  # type: ignore[assignment]  # else Hashable would fit too


class ActivityDecorator(Protocol):
    """What ``activity(name=..., ...)`` gives: the decorator itself."""

    @overload
    def __call__(
        self, function: Callable[[_Unspecific, *Ts], T], /
    ) -> ActivityFunction[Any, *Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[ActivityContext, *Ts], T], /
    ) -> ActivityFunction[*Ts, T]: ...
    @overload
    def __call__(self, function: Callable[[*Ts], T], /) -> ActivityFunction[*Ts, T]: ...


class OrchestratorDecorator(Protocol):
    """What ``orchestrator(name=..., ...)`` gives: the decorator itself."""

    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], Awaitable[T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], Generator[Any, Any, T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], T], /
    ) -> OrchestratorFunction[*Ts, T]: ...


class DurableDecorator(Protocol):
    """What ``http(..., durable=True)`` gives: also for what is an orchestrator already."""

    @overload
    def __call__(
        self, function: OrchestratorFunction[*Ts, T], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], Awaitable[T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], Generator[Any, Any, T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def __call__(
        self, function: Callable[[Context, *Ts], T], /
    ) -> OrchestratorFunction[*Ts, T]: ...


class FunctionRegistry:
    """The activities and orchestrators of an app.

    Example:
        >>> app = FunctionRegistry()
        >>> @app.activity
        ... def greet(name: str) -> str:
        ...     return f"Hello {name}!"
        >>> greet("Ada")
        'Hello Ada!'
    """

    def __init__(self) -> None:
        self.version: str = ""
        self._activities: dict[str, AnyActivity] = {}
        self._orchestrators: dict[str, AnyOrchestrator] = {}
        self._token_sources: dict[str, TokenSource] = {}
        self._timers: dict[str, TimerFunction] = {}
        self._triggered: dict[str, TriggeredFunction] = {}

    # --- decorators ------------------------------------------------------------------------------

    @overload
    def activity(
        self, function: Callable[[_Unspecific, *Ts], T], /
    ) -> ActivityFunction[Any, *Ts, T]: ...
    @overload
    def activity(
        self, function: Callable[[ActivityContext, *Ts], T], /
    ) -> ActivityFunction[*Ts, T]: ...
    @overload
    def activity(self, function: Callable[[*Ts], T], /) -> ActivityFunction[*Ts, T]: ...
    @overload
    def activity(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        max_concurrent: int | None = None,
        cpu_bound: bool = False,
    ) -> ActivityDecorator: ...
    def activity(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        schedule_to_start_timeout: timedelta | None = None,
        max_concurrent: int | None = None,
        cpu_bound: bool = False,
    ) -> Any:
        """Register a function as an activity; use it bare or with options.

        Args:
            function: ``def`` (runs in a thread) or ``async def`` (runs on the host's loop). When
                its first parameter is annotated ``ActivityContext``, that is handed in.
            name: Its name in history; the function's own when None.
            retry: When calls try a failed attempt again.
            timeout: The longest time that one attempt may take, from its beginning.
            schedule_to_start_timeout: The longest time that one attempt may wait for its
                beginning: for a thread, a process, or room under a limit. It counts from when it
                was scheduled, over restarts of the host. Then the call raises
                ``ActivityTimeoutError``; such an attempt is not tried again.
            max_concurrent: Most attempts that run at the same time on one host.
            cpu_bound: For a ``def`` that computes for long: runs in a worker process, which finds
                the function by module and name. What it changes in memory stays there.

        Returns:
            The typed reference that takes the function's place.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ``@app.activity(timeout=timedelta(seconds=30))``
        """
        add = partial(
            self._add_activity,
            name=name,
            retry=retry,
            timeout=timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            max_concurrent=max_concurrent,
            cpu_bound=cpu_bound,
        )
        return add if function is None else add(function)

    @overload
    def orchestrator(
        self, function: Callable[[Context, *Ts], Awaitable[T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def orchestrator(
        self, function: Callable[[Context, *Ts], Generator[Any, Any, T]], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def orchestrator(
        self, function: Callable[[Context, *Ts], T], /
    ) -> OrchestratorFunction[*Ts, T]: ...
    @overload
    def orchestrator(
        self, *, name: str | None = None, version: str | None = None
    ) -> OrchestratorDecorator: ...
    def orchestrator(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> Any:
        """Register a function as an orchestrator; use it bare or with options.

        Args:
            function: ``async def``, or a generator that yields tasks. Its first parameter is the
                context.
            name: Its name in history; the function's own when None.
            version: What new instances are marked with.

        Returns:
            The typed reference that takes the function's place.

        Raises:
            RegistrationError: naming function, file and line.
        """
        add = partial(self._add_orchestrator, name=name, version=version)
        return add if function is None else add(function)

    @overload
    def token_source(self, function: S, /) -> S: ...
    @overload
    def token_source(self, *, name: str | None = None) -> Callable[[S], S]: ...
    def token_source(
        self, function: Callable[..., Any] | None = None, *, name: str | None = None
    ) -> Any:
        """Register a function that gives access tokens for ``ctx.call_http``.

        It is called before each request, on the host that makes it, so that tokens stand in no
        history; cache what should not be fetched each time. Named ``AzureManagedIdentity``, it
        gets the ``ManagedIdentityTokenSource``; others get nothing.

        Args:
            function: ``def`` (runs in a thread) or ``async def``; returns the token.
            name: What calls name it by; the function's own when None.

        Returns:
            The function, unchanged.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.token_source
                async def billing() -> str:
                    return await vault.read("billing-token")
        """

        def add(source: Callable[..., Any]) -> Callable[..., Any]:
            with _refusals("token source", source, name) as checked_name:
                known = self._token_sources.setdefault(checked_name, source)
                if known is not source:
                    raise InputError(f"it is already registered from {_place(known)}")
            return source

        return add if function is None else add(function)

    # --- lookups ---------------------------------------------------------------------------------

    @property
    def activities(self) -> Mapping[str, AnyActivity]:
        """All activities by name, in the order of registration."""
        return MappingProxyType(self._activities)

    @property
    def orchestrators(self) -> Mapping[str, AnyOrchestrator]:
        """All orchestrators by name, in the order of registration."""
        return MappingProxyType(self._orchestrators)

    @property
    def token_sources(self) -> Mapping[str, TokenSource]:
        """All token sources by name."""
        return MappingProxyType(self._token_sources)

    @property
    def timers(self) -> Mapping[str, TimerFunction]:
        """All functions that schedules start, by name, in the order of registration."""
        return MappingProxyType(self._timers)

    @property
    def triggered(self) -> Mapping[str, TriggeredFunction]:
        """All functions that events start, by name, in the order of registration."""
        return MappingProxyType(self._triggered)

    def find_activity(self, name: str) -> AnyActivity | None:
        """The activity of that name, None when there is none."""
        return self._activities.get(name)

    def find_orchestrator(self, name: str) -> AnyOrchestrator | None:
        """The orchestrator of that name, None when there is none."""
        return self._orchestrators.get(name)

    def get_activity(self, name: str) -> AnyActivity:
        """The activity of that name.

        Raises:
            UnknownFunctionError: listing what there is.
        """
        found = self._activities.get(name)
        if found is None:
            raise UnknownFunctionError("activity", name, self._activities)
        return found

    def get_orchestrator(self, name: str) -> AnyOrchestrator:
        """The orchestrator of that name.

        Raises:
            UnknownFunctionError: listing what there is.
        """
        found = self._orchestrators.get(name)
        if found is None:
            raise UnknownFunctionError("orchestrator", name, self._orchestrators)
        return found

    @property
    def warnings(self) -> list[str]:
        """What looks wrong without being refused, for the host to log at its start.

        Looked for anew at each call: modules import and define more after a function is
        registered. Nothing goes to ``warnings.warn``, which stops apps run with ``-W error``.
        """
        return [
            f"{one!r} ({_place(one.function)}) {hint}"
            for one in self._orchestrators.values()
            for hint in unreplayable_imports(one.function)
        ]

    # --- adding ----------------------------------------------------------------------------------

    def _add_activity(
        self, function: Callable[..., Any], *, name: str | None, **options: Any
    ) -> AnyActivity:
        with _refusals("activity", function, name) as checked_name:
            if inspect.isgeneratorfunction(function):
                raise InputError("it is a generator, whose result cannot be stored; return a list")
            signature = Signature.of(function, _is_activity_context)
            signature.refuse_ambiguous()
            if signature.skipped > 1:
                raise InputError("it takes more than one ActivityContext; it gets one, the first")
            makes = partial(_context_for_direct_call, checked_name) if signature.skipped else None
            reference: AnyActivity = ActivityFunction(
                function=function,
                name=checked_name,
                signature=signature,
                make_context=makes,
                **options,
            )
            if reference.cpu_bound:
                _check_place(reference)
            _add(self._activities, reference)
        return reference

    def add_timer(
        self,
        function: Callable[..., Any],
        name: str | None,
        make: Callable[[str], TimerFunction],
    ) -> None:
        """Register a function that a schedule starts; for decorators such as ``App.timer``.

        Args:
            function: As it was decorated.
            name: Its name; the function's own when None.
            make: Makes what the host runs, given the name; may raise InputError.

        Raises:
            RegistrationError: naming function, file and line.
        """
        with _refusals("timer", function, name) as checked_name:
            if checked_name in self._timers:
                raise InputError(
                    f"a timer named {checked_name!r} is registered already; give name="
                )
            self._timers[checked_name] = make(checked_name)

    def add_triggered(
        self,
        function: Callable[..., Any],
        name: str | None,
        make: Callable[[str], TriggeredFunction],
    ) -> None:
        """Register a function that events start; for decorators such as ``App.queue``.

        Args:
            function: As it was decorated.
            name: Its name; the function's own when None.
            make: Makes what the host runs, given the name; may raise InputError.

        Raises:
            RegistrationError: naming function, file and line.
        """
        with _refusals("trigger", function, name) as checked_name:
            if checked_name in self._triggered:
                raise InputError(
                    f"a function named {checked_name!r} that events start is registered already; "
                    "give name="
                )
            self._triggered[checked_name] = make(checked_name)

    def refuse(self, decorator: str, function: object, why: str) -> NoReturn:
        """Say which function a decorator cannot be used for, and why.

        Raises:
            RegistrationError: always.
        """
        where = f"{getattr(function, '__name__', function)!r} ({_place(function)})"
        raise RegistrationError(f"{decorator} cannot be used for {where} so: {why}")

    def check_signatures(self) -> None:
        """See that what functions take and give can be written and rebuilt; now all classes that
        their annotations mention are defined.

        Raises:
            RegistrationError: naming function, file and line, parameter and what to do.
        """
        for kind, references in (
            ("activity", self._activities),
            ("orchestrator", self._orchestrators),
        ):
            for one in references.values():
                with _refusals(kind, one.function, one.name, "take or give this"):
                    one.signature.prepare()

    def check_places(self) -> None:
        """See that worker processes will find the activities that are to run in them.

        Raises:
            RegistrationError: naming function, file and line.
        """
        for one in self._activities.values():
            if not one.cpu_bound:
                continue
            with _refusals("activity", one.function, one.name, "run with cpu_bound=True"):
                place = place_of(one.function)
                found = standing_at(place)
                if getattr(found, "function", found) is not one.function:
                    raise InputError(
                        f"a worker process could not find it: {place} is {found!r}; "
                        "give it a name of its own"
                    )

    def _add_orchestrator(
        self, function: Callable[..., Any], *, name: str | None, version: str | None
    ) -> AnyOrchestrator:
        with _refusals("orchestrator", function, name) as checked_name:
            if Signature.of(function, _may_be_context).skipped == 0:
                raise InputError(
                    "its first parameter must be the context: "
                    f"`async def {checked_name}(ctx: Context, ...)`"
                )
            signature = Signature.of(function, 1)
            signature.refuse_ambiguous()
            reference: AnyOrchestrator = OrchestratorFunction(
                function=function,
                name=checked_name,
                signature=signature,
                version=version,
            )
            _add(self._orchestrators, reference)
        return reference


@contextmanager
def _refusals(
    kind: str, function: object, name: str | None, what: str = "be registered"
) -> Generator[str]:
    """Give the name to register under; turn refusals into errors that say which function."""
    if name is None:
        name = getattr(function, "__name__", None)
    try:
        yield _checked_name(function, name)
    except (InputError, SignatureError, LimitError) as error:
        raise RegistrationError(
            f"{kind} {name or function!r} ({_place(function)}) cannot {what}: {error}"
        ) from None


def _checked_name(function: object, name: object) -> str:
    if isinstance(function, ActivityFunction | OrchestratorFunction):
        raise InputError(f"it is already {function!r}; decorate the plain function")
    if not callable(function) or isinstance(function, type):
        raise InputError(f"only functions can be decorated, this is {function!r}")
    if name == "<lambda>" or getattr(function, "__name__", None) == "<lambda>":
        raise InputError("it is a lambda, which has no name that lasts; use def")
    if inspect.isasyncgenfunction(function):
        raise InputError("it is an async generator; remove the `yield`")
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InputError(
            f"its name must be a str of 1 to {_MAX_NAME} printable characters, got {name!r}"
        )
    if name.startswith(RESERVED):
        raise InputError(f"names that begin with {RESERVED} are Tenuto's own; choose another")
    return name


def _add(registered: dict[str, Any], reference: AnyActivity | AnyOrchestrator) -> None:
    known = registered.setdefault(reference.name, reference)
    if known is not reference:
        raise InputError(f"{known!r} is already registered from {_place(known.function)}")


def _check_place(reference: AnyActivity) -> None:
    if reference.is_async:
        raise InputError(
            "cpu_bound=True is for activities that compute, this one is `async def`; "
            "write it as `def`"
        )
    place_of(reference.function)


def _place(function: object) -> str:
    """File and line of a function, as editors understand them."""
    plain = function
    while isinstance(plain, partial):
        plain = plain.func
    code = getattr(inspect.unwrap(plain) if callable(plain) else plain, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "place unknown"


def _is_activity_context(annotation: object) -> bool:
    if isinstance(annotation, str):  # it could not be resolved
        return annotation.rpartition(".")[2] == ActivityContext.__name__
    return annotation is ActivityContext


def _may_be_context(annotation: object) -> bool:
    """False only for classes that a context cannot be an instance of."""
    if not isinstance(annotation, type) or annotation in {Any, object}:
        return True
    return issubclass(annotation, Context) or getattr(annotation, "_is_protocol", False)


def _context_for_direct_call(name: str) -> ActivityContext:
    running = running_activity.get(None)
    return ActivityContext(name) if running is None else running()
