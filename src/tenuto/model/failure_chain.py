"""Failures that caused each other: what people are told of them, and what is kept of long chains.

The innermost failure is the root cause. It is said first, and once: what merely passed it on (a
call that failed because what it called did) is counted.
"""

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


def is_passed_on(link: "FailureDetails") -> bool:
    """Whether it only says that what was called has failed."""
    return link.inner_failure is not None and link.error_type in _BELOW | _ACTIVITIES


def own_text(link: "FailureDetails") -> str:
    """Type and message of one failure; our own types under the name that users import."""
    name = f"{link.error_type}".removeprefix(OWN_ERRORS)
    return f"{name}: {link.error_message}" if link.error_message else name


def place_text(failure: "FailureDetails") -> str:
    """Where the root cause was raised, seen from whose failure this is; empty when it is there.

    Example:
        ``3 levels below, in activity 'charge'``
    """
    passed = [one for one in links_of(failure) if is_passed_on(one)]
    levels = sum(one.levels for one in passed if one.error_type in _BELOW)
    parts = []
    if levels:
        parts.append(f"{levels} level{'s' if levels > 1 else ''} below")
    if passed and passed[-1].error_type in _ACTIVITIES:
        name = (passed[-1].properties or {}).get("function")
        parts.append(f"in {activity_words(name)}" if isinstance(name, str) else "in an activity")
    return ", ".join(parts)


def raised_on_the_way(failure: "FailureDetails") -> "tuple[list[FailureDetails], int]":
    """What the root cause led to, the nearest first, and how many more are not kept."""
    links = links_of(failure)
    ways = [one for one in links[:-1] if not is_passed_on(one)]
    return ways[::-1], sum(one.omitted for one in links)


def summary(failure: "FailureDetails") -> str:
    """The root cause first, then how it got here."""
    links = links_of(failure)
    text = own_text(links[-1])
    place = place_text(failure)
    if place:
        text = f"{text} (failed {place})" if place[0].isdigit() else f"{text} ({place})"
    ways, omitted = raised_on_the_way(failure)
    if not ways:
        return text
    between = len(ways) - 1 + omitted
    over = f", over {between} other{'s' if between > 1 else ''}," if between else ""
    return f"{text}; it led{over} to {own_text(ways[-1])}"


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
        if excess > 0 and kept and link.error_type in _BELOW and kept[-1].error_type in _BELOW:
            kept[-1] = replace(kept[-1], levels=kept[-1].levels + link.levels)
            excess -= 1
        else:
            kept.append(link)
    if excess <= 0:
        return kept
    half = MOST_LINKS // 2
    gap = kept[half:-half]
    before = kept[half - 1]
    omitted = before.omitted + len(gap) + sum(one.omitted for one in gap)
    return [*kept[: half - 1], replace(before, omitted=omitted), *kept[-half:]]
