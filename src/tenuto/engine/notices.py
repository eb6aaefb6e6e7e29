"""Which notices of an instance's life a step gives: how it stands now, and how it stood before.

Every change of how an instance stands is a step that is booked, so this is the one place that sees
all of them. Off unless a host has somebody to tell; then nothing is compared.
"""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from tenuto.engine.state import InstanceState
from tenuto.engine.turns.step import Step
from tenuto.model.notices import ENDS, NoticeKind, NoticeRules, notice_row
from tenuto.model.payload.opaque import reason_of, shown
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import PublishedEvent

_KINDS: Final = {
    RuntimeStatus.COMPLETED: NoticeKind.COMPLETED,
    RuntimeStatus.FAILED: NoticeKind.FAILED,
    RuntimeStatus.TERMINATED: NoticeKind.TERMINATED,
    RuntimeStatus.CANCELED: NoticeKind.TERMINATED,
    RuntimeStatus.SUSPENDED: NoticeKind.SUSPENDED,
}
_STOPPED: Final = (NoticeKind.SUSPENDED, NoticeKind.HELD)


class Standing(Struct, frozen=True):
    """How an instance stands.

    Attributes:
        kind: The notice that says so; None while it waits for its beginning, or runs.
        has_begun: Whether it has had a turn, of whichever generation.
    """

    kind: NoticeKind | None = None
    has_begun: bool = False


NOT_BEGUN: Final = Standing()


def standing_of(state: InstanceState, *, has_begun: bool = False) -> Standing:
    """How an instance stands.

    Args:
        state: The instance.
        has_begun: Whether it is known to have had a turn.
    """
    begun = has_begun or state.next_turn > 0 or state.facts.generation > 0
    kind = _KINDS.get(state.status)
    if kind not in ENDS and state.hold is not None:
        kind = NoticeKind.HELD
    return Standing(kind, begun)


def notices_of(
    rules: NoticeRules,
    before: Standing,
    after: Standing,
    state: InstanceState,
    step: Step,
    next_id: Callable[[], str],
) -> Iterator[PublishedEvent]:
    """The notices of a step, as rows of its commit.

    Args:
        rules: Of what there are notices.
        before: How the instance stood before the step.
        after: How it stands after it.
        state: The instance, as it is after the step.
        step: The step.
        next_id: Gives an id that nothing else has, for kinds that an execution may have again.
    """
    for kind in _kinds(before, after, step):
        if rules.wants(kind, state.facts):
            is_once = kind in ENDS or kind is NoticeKind.STARTED
            yield notice_row(
                kind,
                state.facts,
                state.last_time if step.events else state.updated_at,
                iid=state.iid,
                once="" if is_once else f"-{next_id()}",
                reason=_reason(kind, state),
            )


def _kinds(before: Standing, after: Standing, step: Step) -> Iterator[NoticeKind]:
    if not before.has_begun and step.events and not step.inbox.is_terminated:
        yield NoticeKind.STARTED
    if after.kind is before.kind:
        return
    if after.kind is not None:
        yield after.kind
    elif before.kind in _STOPPED:
        yield NoticeKind.RESUMED


def _reason(kind: NoticeKind, state: InstanceState) -> str | None:
    if kind is NoticeKind.FAILED and state.failure is not None:
        return f"{state.failure.error_type}: {state.failure.error_message}"
    if kind is NoticeKind.TERMINATED:
        given = reason_of(state.output)
        words = shown(given)
        return words if isinstance(words, str) else given  # stored as JSON; told as it was said
    if kind is NoticeKind.HELD and state.hold is not None:
        return f"{state.hold.reason}: {state.hold.message}"
    return None
