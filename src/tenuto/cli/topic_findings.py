"""What the doctor has to say of topics and their subscriptions. Pure."""

from collections.abc import Sequence
from typing import Final

from tenuto.cli.findings import Finding, Level
from tenuto.engine.topic_ports import SubscriptionStanding
from tenuto.insight.advice import command
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import duration, one_line
from tenuto.model.timing import MICROSECONDS, Microseconds

LATE: Final[Microseconds] = 10 * 60 * MICROSECONDS
"""An event that waits longer than this for a running host is told of."""


def subscription_findings(
    found: Sequence[SubscriptionStanding], around: Surroundings
) -> list[Finding]:
    """Which subscriptions are behind, or have put something aside; nothing when there are none.

    Args:
        found: All of them.
        around: The present, whether a host runs, and where.
    """
    if not found:
        return []
    findings = [
        finding
        for one in found
        for finding in (_behind(one, around), _put_aside_by(one, around))
        if finding is not None
    ]
    if findings:
        return findings
    subscriptions = "1 subscription" if len(found) == 1 else f"{len(found):,} subscriptions"
    return [_topics(Level.OK, f"{subscriptions}, none behind, nothing put aside")]


def _behind(one: SubscriptionStanding, around: Surroundings) -> Finding | None:
    if one.oldest is None or around.now - one.oldest <= LATE:
        return None
    events = "1 event waits" if one.lag == 1 else f"{one.lag:,} events wait"
    name = one_line(one.name)
    text = (
        f"{name} of topic {one_line(one.topic)}: {events}, the oldest for "
        f"{duration(around.now - one.oldest)}"
    )
    if not around.has_host:
        return _topics(Level.NOTE, text, "they are delivered when a host runs that has it")
    if around.now - one.updated_at <= LATE:
        advice = (
            "its place moves: it catches up, or its function is slow or fails; the host's log "
            "tells, and concurrency= of the subscription lets more run at once"
        )
        return _topics(Level.NOTE, text, advice)
    removing = command("topics remove", one.name, options=around.place)
    return _topics(
        Level.WRONG,
        f"{text}; its place has not moved for {duration(around.now - one.updated_at)}: no host "
        "serves it, or its function hangs or fails all the time",
        f"run an app that has it; if none has it any more: {removing}",
    )


def _put_aside_by(one: SubscriptionStanding, around: Surroundings) -> Finding | None:
    if not one.failed:
        return None
    listing = command("topics failed", one.name, options=around.place)
    return _topics(
        Level.WRONG,
        f"{one_line(one.name)} of topic {one_line(one.topic)} has put aside {_events(one.failed)}",
        f"{listing}; then redrive or drop them",
    )


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _topics(level: Level, text: str, advice: str = "") -> Finding:
    return Finding(level=level, topic="topics", text=text, advice=advice)
