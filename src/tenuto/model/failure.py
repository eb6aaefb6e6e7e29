"""Failures as recorded data: what is kept of an exception after its process is gone."""

import traceback

from msgspec import Struct, structs

_MAX_CAUSES = 20
_MAX_TEXT = 32_768


class FailureDetails(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An exception as history keeps it (the Durable Task Framework's FailureDetails).

    Attributes:
        error_type: Class name, with its module unless it is a builtin.
        error_message: ``str(exception)``.
        stack_trace: Formatted traceback, or None when it never had one.
        inner_failure: The cause (``__cause__``, else ``__context__`` unless suppressed).
        is_non_retriable: True when no retry policy may try again.
    """

    error_type: str
    error_message: str
    stack_trace: str | None = None
    inner_failure: "FailureDetails | None" = None
    is_non_retriable: bool = False

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"

    def is_caused_by(self, error: type[BaseException] | str) -> bool:
        """Whether this failure or one of its causes is of the given type (or type name)."""
        wanted = error if isinstance(error, str) else type_name(error)
        failure: FailureDetails | None = self
        while failure is not None:
            if failure.error_type == wanted:
                return True
            failure = failure.inner_failure
        return False


def type_name(error: type[BaseException]) -> str:
    """The name under which an exception class is recorded: ``ValueError``, ``shop.SoldOut``."""
    # In worker processes the main program has the last of these names.
    if error.__module__ in {"builtins", "__main__", "__mp_main__"}:
        return error.__qualname__
    return f"{error.__module__}.{error.__qualname__}"


def failure_of(error: BaseException, *, with_traceback: bool = True) -> FailureDetails:
    """Record an exception with its cause chain (at most 20 links; texts cut at 32,768)."""
    chain: list[BaseException] = []
    inner: FailureDetails | None = None
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < _MAX_CAUSES:
        chain.append(link)
        recorded = getattr(link, "failure", None)
        if isinstance(recorded, FailureDetails):  # work that failed elsewhere, with its own causes
            inner = _first_links(recorded, _MAX_CAUSES - len(chain))
            break
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for one in reversed(chain):
        inner = FailureDetails(
            error_type=type_name(type(one)),
            error_message=_message(one),
            stack_trace=_stack(one) if with_traceback and one.__traceback__ else None,
            inner_failure=inner,
            is_non_retriable=bool(getattr(one, "is_non_retriable", False)),
        )
    assert inner is not None
    return inner


def _first_links(failure: FailureDetails | None, count: int) -> FailureDetails | None:
    if failure is None or count <= 0:
        return None
    return structs.replace(failure, inner_failure=_first_links(failure.inner_failure, count - 1))


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"<message not available: {type(broken).__name__}>"
    if isinstance(error, BaseExceptionGroup):
        inside = "; ".join(f"{type_name(type(one))}: {_message(one)}" for one in error.exceptions)
        text = f"{text}: {inside}"
    return storable_text(text)


def _stack(error: BaseException) -> str:
    lines = traceback.format_exception(type(error), error, error.__traceback__, chain=False)
    return storable_text("".join(lines))


def storable_text(text: str) -> str:
    """Cut to what history keeps, with lone surrogates made visible (JSON cannot hold them)."""
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT // 2]}\n...\n{text[-_MAX_TEXT // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
