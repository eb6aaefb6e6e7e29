"""Failures that caused each other: what people are told of them, and what is kept of long chains.

The innermost failure is the root cause. It is said first, and once: what merely passed it on (a
call that failed because what it called did) is counted.

What was raised while another failure was being handled was not caused by it: it is the news, as a
mistake behind ``except`` is. So a chain has parts, the latest first, each with a root cause of its
own, and what was being handled is said after what went wrong then.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tenuto.model.built_in import activity_words

if TYPE_CHECKING:
    from tenuto.model.failure import FailureDetails

MOST_LINKS: Final = 20
"""Failures of a chain that are kept: those next to both ends."""

OWN_ERRORS: Final = "tenuto.model.errors."
_BELOW: Final = {
    f"{OWN_ERRORS}{name}" for name in ("SubOrchestrationError", "OrchestrationFailedError")
}
_ACTIVITIES: Final = {f"{OWN_ERRORS}{name}" for name in ("ActivityError", "ActivityTimeoutError")}


def links_of(failure: "FailureDetails | None") -> "list[FailureDetails]":
    """A failure and its causes, the root cause last."""
    links: list[FailureDetails] = []
    while failure is not None:
        links.append(failure)
        failure = failure.inner_failure
    return links


def all_of(failure: "FailureDetails") -> "Iterator[FailureDetails]":
    """A failure and all that it stands for: its causes, and what is in groups among them."""
    waiting = [failure]
    while waiting:
        one = waiting.pop()
        yield one
        if one.inner_failure is not None:
            waiting.append(one.inner_failure)
        waiting.extend(reversed(one.members))


def without_traces(failure: "FailureDetails") -> "FailureDetails":
    """The same without tracebacks, also of its causes and of what is in groups among them."""
    inner = failure.inner_failure
    return replace(
        failure,
        stack_trace=None,
        inner_failure=None if inner is None else without_traces(inner),
        members=tuple(map(without_traces, failure.members)),
    )


def parts_of(failure: "FailureDetails") -> "list[list[FailureDetails]]":
    """The links that led to a failure, its root cause last; then those that led to what was being
    handled when that was raised; and so on.
    """
    parts: list[list[FailureDetails]] = [[]]
    for link in links_of(failure):
        parts[-1].append(link)
        if link.while_handling and link.inner_failure is not None:
            parts.append([])
    return parts


def is_passed_on(link: "FailureDetails") -> bool:
    """Whether it only says that what was called has failed."""
    has_cause = link.inner_failure is not None and not link.while_handling
    return has_cause and link.error_type in _BELOW | _ACTIVITIES


def own_text(link: "FailureDetails") -> str:
    """Type and message of one failure; our own types under the name that users import."""
    name = f"{link.error_type}".removeprefix(OWN_ERRORS)
    return f"{name}: {link.error_message}" if link.error_message else name


def place_text(part: "list[FailureDetails]") -> str:
    """Where a root cause was raised, seen from whose failure this is; empty when it is there.

    Example:
        ``3 levels below, in activity 'charge'``
    """
    passed = [one for one in part if is_passed_on(one)]
    levels = sum(one.levels for one in passed if one.error_type in _BELOW)
    parts = []
    if levels:
        parts.append(f"{levels} level{'s' if levels > 1 else ''} below")
    if passed and passed[-1].error_type in _ACTIVITIES:
        name = (passed[-1].properties or {}).get("function")
        parts.append(f"in {activity_words(name)}" if isinstance(name, str) else "in an activity")
    return ", ".join(parts)


def raised_on_the_way(part: "list[FailureDetails]") -> "tuple[list[FailureDetails], int]":
    """What a root cause led to, the nearest first, and how many more are not kept."""
    ways = [one for one in part[:-1] if not is_passed_on(one)]
    return ways[::-1], sum(one.omitted for one in part[:-1])


def summary(failure: "FailureDetails") -> str:
    """The root cause first, then how it got here; then what was being handled, in the same way."""
    first, *handled = parts_of(failure)
    text = _said(first)
    if handled:
        text = f"{text}; raised while handling{_over(first[-1].omitted)} {_said(handled[0])}"
    if len(handled) > 1:
        between = len(handled) - 2 + sum(part[-1].omitted for part in handled)
        text = f"{text}, and before that{_over(between)} {_said(handled[-1])}"
    return text


def _said(part: "list[FailureDetails]") -> str:
    text = own_text(part[-1])
    place = place_text(part)
    if place:
        text = f"{text} (failed {place})" if place[0].isdigit() else f"{text} ({place})"
    ways, omitted = raised_on_the_way(part)
    if not ways:
        return text
    return f"{text}; it led{_over(len(ways) - 1 + omitted)} to {own_text(ways[-1])}"


def _over(between: int) -> str:
    return f", over {between} other{'s' if between > 1 else ''}," if between else ""


def joined(links: "list[FailureDetails]") -> "FailureDetails | None":
    """One failure made of a chain, the root cause last, without what is too much to be kept."""
    inner: FailureDetails | None = None
    for link in reversed(_shortened(links)):
        inner = replace(link, inner_failure=inner)
    return inner


def _shortened(links: "list[FailureDetails]") -> "list[FailureDetails]":
    kept: list[FailureDetails] = []
    excess = len(links) - MOST_LINKS
    for link in links:
        # Calls in a row say the same, level by level: all but the outermost are only counted.
        if excess > 0 and kept and _is_call_in_a_row(kept[-1]) and _is_call_in_a_row(link):
            kept[-1] = replace(kept[-1], levels=kept[-1].levels + link.levels)
            excess -= 1
        else:
            kept.append(link)
    if excess <= 0:
        return kept
    half = MOST_LINKS // 2
    gap = kept[half:-half]
    before = with_gap(
        kept[half - 1],
        omitted=len(gap) + sum(one.omitted for one in gap),
        while_handling=any(one.while_handling for one in gap),
    )
    return [*kept[: half - 1], before, *kept[-half:]]


def _is_call_in_a_row(link: "FailureDetails") -> bool:
    return link.error_type in _BELOW and not link.while_handling


def with_gap(link: "FailureDetails", *, omitted: int, while_handling: bool) -> "FailureDetails":
    """A link after which others are left out.

    Args:
        link: The one before them.
        omitted: How many they are.
        while_handling: Whether one of them was raised while the next was being handled: then what
            stands behind the gap has not led to what stands before it.
    """
    return replace(
        link,
        omitted=link.omitted + omitted,
        while_handling=link.while_handling or while_handling,
    )
