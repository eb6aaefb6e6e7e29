"""Typed references: what the decorators leave in place of a function.

Owns how a registered function looks to its callers: its name, the options of its calls, the types
that ``call_activity``, ``call_sub_orchestrator`` and ``client.start`` check arguments against. A
reference never changes; ``options()`` gives a changed copy. It knows nothing of registries and
never runs anything durable. Called directly it is the plain function, so that unit tests need no
host; inside an orchestrator that would escape history, so it is refused there (ENGINE rule 8).

The type parameters are the arguments, then the result. An activity's result type is what a plain
call returns, so for ``async def`` it is a coroutine, and what is recorded is the value inside::

    @overload
    def call(self, to: ActivityFunction[*Ts, Awaitable[T]], *args: *Ts) -> DurableTask[T]: ...
    @overload
    def call(self, to: ActivityFunction[*Ts, T], *args: *Ts) -> DurableTask[T]: ...

An orchestrator's result type is always the value that is recorded.
"""

import inspect
from asyncio import events as asyncio_events
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import WRAPPER_ASSIGNMENTS
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar, TypeVarTuple

from msgspec import UNSET, UnsetType

from tenuto.model.errors import GuardError, InputError, LimitError
from tenuto.model.ids import check_hub_name, check_instance_id
from tenuto.model.retry import RetryPolicy
from tenuto.model.texts import MOST_BYTES, check_together, checked_text, checked_text_or_none

if TYPE_CHECKING:
    from tenuto.model.signature import Signature
    from tenuto.orchestration.context import Context

OnCancel: TypeAlias = Literal["terminate", "abandon"]
"""What becomes of a sub-orchestration whose call is cancelled."""

Ts = TypeVarTuple("Ts")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Reference:
    """What both kinds of references share."""

    function: Callable[..., Any]
    name: str
    signature: "Signature"

    def __post_init__(self) -> None:
        # What functools.wraps does: inspect, help() and their like see the function.
        for attribute in WRAPPER_ASSIGNMENTS:
            if hasattr(self.function, attribute):
                self.__dict__[attribute] = getattr(self.function, attribute)
        self.__dict__["__wrapped__"] = self.function


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ActivityFunction(_Reference, Generic[*Ts, T_co]):
    """A registered activity: ``ActivityFunction[int, str]`` takes an int and returns a str.

    Attributes:
        name: The name in history.
        function: The plain function.
        signature: How arguments and result are written and rebuilt; without the context.
        retry: When a failed attempt is tried again; None for never.
        timeout: The longest time one attempt may take; None for no end.
        schedule_to_start_timeout: The longest time one attempt may wait for its beginning; None
            for no end.
        max_concurrent: Most attempts running at the same time on one host; None for no own limit.
        cpu_bound: Whether it runs in a worker process.
        is_async: Whether it is an ``async def``.
        make_context: For an activity that takes its context as first argument: gives one to
            direct calls. None for the others.
    """

    retry: RetryPolicy | None = None
    timeout: timedelta | None = None
    schedule_to_start_timeout: timedelta | None = None
    max_concurrent: int | None = None
    cpu_bound: bool = False
    make_context: Callable[[], object] | None = None
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_retry(self.retry)
        _check_timeout(self.timeout, "timeout")
        _check_timeout(self.schedule_to_start_timeout, "schedule_to_start_timeout")
        _check_max_concurrent(self.max_concurrent)
        _check_cpu_bound(self.cpu_bound)
        self.__dict__["is_async"] = is_async_callable(self.function)

    def __repr__(self) -> str:
        return f"<activity {self.name!r}>"

    def __call__(self, *args: *Ts, **named: Any) -> T_co:
        """Call the plain function; a context that it takes is made up.

        Raises:
            GuardError: inside an orchestrator.
        """
        if is_inside_orchestrator():
            raise GuardError(
                f"activity {self.name!r} was called directly inside an orchestrator, where it "
                f"would run again at every replay; "
                f"use `await ctx.call_activity({_spelled(self)}, ...)`"
            )
        if self.make_context is not None:
            return self.function(self.make_context(), *args, **named)  # type: ignore[no-any-return]
        return self.function(*args, **named)  # type: ignore[no-any-return]

    def options(
        self,
        *,
        retry: RetryPolicy | UnsetType | None = UNSET,
        timeout: timedelta | UnsetType | None = UNSET,
        schedule_to_start_timeout: timedelta | UnsetType | None = UNSET,
    ) -> Self:
        """The same activity with other options; what is not given stays as it is.

        Args:
            retry: When a failed attempt is tried again; None for never.
            timeout: The longest time one attempt may take; None for no end.
            schedule_to_start_timeout: The longest time one attempt may wait for its beginning;
                None for no end.

        Raises:
            InputError: for a value that is not allowed.

        Example:
            ``await ctx.call_activity(book.options(timeout=timedelta(seconds=30)), trip)``
        """
        return replace(
            self,
            **_given(
                retry=retry, timeout=timeout, schedule_to_start_timeout=schedule_to_start_timeout
            ),
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OrchestratorFunction(_Reference, Generic[*Ts, T_co]):
    """A registered orchestrator: ``OrchestratorFunction[Trip, Itinerary]``, without the context.

    Attributes:
        name: The name in history.
        function: The plain function: ``async def``, or a generator that yields tasks.
        signature: How arguments and result are written and rebuilt; without the context.
        version: What new instances are marked with; None for nothing.
        retry: When a failed sub-orchestration is tried again; None for never.
        instance_id: The id of the instance that a call starts; None for a fresh one.
        tags: Labels of the instance that a call starts.
        on_cancel: What becomes of a sub-orchestration when its parent cancels the call.
        on: The linked hub on which a call starts the instance; None for this one.
    """

    version: str | None = None
    retry: RetryPolicy | None = None
    instance_id: str | None = None
    on: str | None = None
    tags: Mapping[str, str] | None = None
    on_cancel: OnCancel = "terminate"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_version(self.version)
        _check_on_cancel(self.on_cancel)
        _check_retry(self.retry)
        if self.instance_id is not None:
            check_instance_id(self.instance_id)
        if self.on is not None:
            check_hub_name(self.on)
        tags = self.__dict__["tags"] = checked_tags(self.tags)
        labels = [part for item in (tags or {}).items() for part in item]
        check_together([self.name, self.version or "", *labels], "name, version and tags together")

    def __repr__(self) -> str:
        return f"<orchestrator {self.name!r}>"

    def __call__(self, context: "Context", *args: *Ts, **named: Any) -> Any:  # noqa: ANN401 - coroutine or generator
        """Call the plain function, with a context of your own: gives its coroutine or generator.

        Raises:
            GuardError: inside an orchestrator.
        """
        if is_inside_orchestrator():
            raise GuardError(
                f"orchestrator {self.name!r} was called directly inside an orchestrator; "
                f"use `await ctx.call_sub_orchestrator({_spelled(self)}, ...)` for an instance of "
                f"its own, or `{_spelled(self)}.function(ctx, ...)` to run its code in this one"
            )
        return self.function(context, *args, **named)

    def options(
        self,
        *,
        instance_id: str | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType | None = UNSET,
        version: str | UnsetType | None = UNSET,
        tags: Mapping[str, str] | UnsetType | None = UNSET,
        on_cancel: OnCancel | UnsetType = UNSET,
        on: str | UnsetType | None = UNSET,
    ) -> Self:
        """The same orchestrator with other options; what is not given stays as it is.

        Args:
            instance_id: The id of the instance that a call starts; None for a fresh one.
            retry: When a failed sub-orchestration is tried again; None for never.
            version: What new instances are marked with.
            tags: Labels of the instance that a call starts.
            on_cancel: What becomes of a sub-orchestration when its parent cancels the call, as
                ``asyncio.timeout`` does: ``"terminate"`` ends it, ``"abandon"`` lets it go on.
            on: The linked hub on which a call starts the instance; None for this one.

        Raises:
            InputError: for a value that is not allowed.

        Example:
            ``await ctx.call_sub_orchestrator(book_trip.options(instance_id="trip-1"), trip)``
        """
        return replace(
            self,
            **_given(
                instance_id=instance_id,
                retry=retry,
                version=version,
                tags=tags,
                on_cancel=on_cancel,
                on=on,
            ),
        )


AnyActivity: TypeAlias = ActivityFunction[*tuple[Any, ...], Any]
"""An activity of whatever types."""

AnyOrchestrator: TypeAlias = OrchestratorFunction[*tuple[Any, ...], Any]
"""An orchestrator of whatever types."""


def checked_activity(given: object, where: str) -> AnyActivity:
    """A decorated activity, or InputError saying what it is instead."""
    if isinstance(given, ActivityFunction):
        return given
    raise InputError(
        f"{where} takes a function decorated with @app.activity, or its name; {_kind(given)}"
    )


def checked_orchestrator(given: object, where: str) -> AnyOrchestrator:
    """A decorated orchestrator, or InputError saying what it is instead."""
    if isinstance(given, OrchestratorFunction):
        return given
    raise InputError(
        f"{where} takes a function decorated with @app.orchestrator, or its name; {_kind(given)}"
    )


def _kind(given: object) -> str:
    if isinstance(given, ActivityFunction | OrchestratorFunction):
        return f"this is {given!r}"
    if callable(given):
        name = getattr(given, "__name__", repr(given))
        return f"{name!r} is not decorated"
    return f"got {given!r}"


def is_inside_orchestrator() -> bool:
    """Whether the calling code runs in a turn of an orchestration."""
    loop = asyncio_events._get_running_loop()  # noqa: SLF001 - the public one raises when there is none
    return loop is not None and getattr(loop, "is_tenuto_session", False)


def is_async_callable(function: Callable[..., object]) -> bool:
    """Whether it is an ``async def``, or an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its kind is asked, not its presence
    )


def _spelled(reference: _Reference) -> str:
    return getattr(reference, "__name__", None) or repr(reference.name)


def _given(**options: object) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not UNSET}


# --- checks of options: each raises InputError ---------------------------------------------------


def _check_retry(retry: object) -> None:
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise InputError(f"retry must be a RetryPolicy or None, got {retry!r}")


def _check_timeout(timeout: object, name: str) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, timedelta):
        raise InputError(f"{name} must be a timedelta or None, got {timeout!r}")
    if timeout <= timedelta(0):
        raise InputError(f"{name} must be longer than nothing, got {timeout}")


def _check_max_concurrent(limit: object) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InputError(f"max_concurrent must be an int from 1 or None, got {limit!r}")


def _check_cpu_bound(cpu_bound: object) -> None:
    if not isinstance(cpu_bound, bool):
        raise InputError(f"cpu_bound must be True or False, got {cpu_bound!r}")


def _check_version(version: object) -> None:
    checked_text_or_none(version, "version")


def _check_on_cancel(on_cancel: object) -> None:
    if on_cancel not in {"terminate", "abandon"}:
        raise InputError(f'on_cancel must be "terminate" or "abandon", got {on_cancel!r}')


def checked_tags(tags: object) -> dict[str, str] | None:
    """A copy of a mapping of texts, or None."""
    if tags is None:
        return None
    if not isinstance(tags, Mapping) or not all(
        isinstance(part, str) for item in tags.items() for part in item
    ):
        raise InputError(f"tags must map str to str, got {tags!r:.200}")
    if len(tags) > MOST_BYTES:  # not looked at one by one, which takes its time
        raise LimitError(f"{len(tags):,} tags: all together may have {MOST_BYTES:,} bytes")
    checked = {
        checked_text(name, "a tag's name"): checked_text(value, f"tag {name[:80]!r}")
        for name, value in tags.items()
    }
    check_together((part for item in checked.items() for part in item), "the tags together")
    return checked
