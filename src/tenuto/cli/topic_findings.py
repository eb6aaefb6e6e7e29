"""What the doctor has to say of topics and their subscriptions. Pure."""

from collections.abc import Sequence
from typing import Final

from tenuto.cli.findings import Finding, Level
from tenuto.engine.topic_ports import SubscriptionStanding
from tenuto.insight.advice import command
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import duration, one_line
from tenuto.model.spans import TOPIC
from tenuto.model.timing import MICROSECONDS, Microseconds

LATE: Final[Microseconds] = 10 * 60 * MICROSECONDS
"""An event that waits longer than this for a running host is told of."""

FULL: Final = (
    "has read as many events as it may beyond one that is tried again or still runs, and reads no "
    "further before that is done with"
)
"""Of a subscription whose place is full."""


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
    is_lost = one.given_back > 0 and not one.is_served and around.has_host
    if one.oldest is None or not (is_lost or one.is_full or around.now - one.oldest > LATE):
        return None
    events = "1 event waits" if one.lag == 1 else f"{one.lag:,} events wait"
    name = one_line(one.name)
    text = (
        f"{name} of topic {one_line(one.topic)}: {events}, the oldest for "
        f"{duration(around.now - one.oldest)}"
    )
    if not around.has_host:
        return _topics(Level.NOTE, text, "they are delivered when a host runs that has it")
    removing = command("topics remove", one.name, options=(f"--topic={one.topic}", *around.place))
    if one.name == TOPIC:
        return _topics(
            Level.WRONG,
            f"spans of {_turns(one.lag)} wait to be sent, the oldest for "
            f"{duration(around.now - one.oldest)}",
            "the host's log tells why telemetry.endpoint, or Application Insights, does not take "
            f"them; if they are not to be sent any more: {removing}",
        )
    if not one.is_served:
        return _topics(
            Level.WRONG,
            f"{text}; no host that runs has it",
            f"run an app that has it, under that name; if none has it any more: {removing}",
        )
    if one.is_full:
        return _topics(
            Level.WRONG,
            f"{text}; it {FULL}",
            "the host's log tells which; with fewer attempts or shorter pauses (retry= of the "
            "subscription) it is put aside sooner",
        )
    if around.now - one.updated_at <= LATE:
        advice = (
            "its place moves: it catches up, or its function is slow or fails; the host's log "
            "tells, and concurrency= of the subscription lets more run at once"
        )
        return _topics(Level.NOTE, text, advice)
    failing = f"; {_events(one.retrying)} failed, and tried again" if one.retrying else ""
    return _topics(
        Level.WRONG,
        f"{text}; its place has not moved for {duration(around.now - one.updated_at)}: its "
        f"function hangs, or waits long for another attempt{failing}",
        "the host's log tells what failed",
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


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count:,} turns"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _topics(level: Level, text: str, advice: str = "") -> Finding:
    return Finding(level=level, topic="topics", text=text, advice=advice)
