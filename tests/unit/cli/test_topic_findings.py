"""What the doctor says of subscriptions."""

from msgspec import structs

from tenuto.cli.findings import Level
from tenuto.cli.topic_findings import LATE, subscription_findings
from tenuto.engine.topic_ports import SubscriptionStanding
from tenuto.insight.surroundings import Surroundings
from tests.support.runs import at

NOW = at(100_000)
HERE = Surroundings(now=NOW, has_host=True, place=("--storage", "sqlite:///x.db"))
WELL = SubscriptionStanding(
    name="orders.ship",
    topic="orders",
    position=9,
    lag=0,
    oldest=None,
    failed=0,
    updated_at=at(0),
    is_served=True,
)
BEHIND = structs.replace(WELL, lag=3, oldest=NOW - 2 * LATE, updated_at=NOW - 2 * LATE)


def test_nothing_is_said_without_subscriptions_and_little_when_all_are_well() -> None:
    assert subscription_findings([], HERE) == []
    (finding,) = subscription_findings([WELL], HERE)
    assert (finding.level, finding.text) == (
        Level.OK,
        "1 subscription, none behind, nothing put aside",
    )
    fresh = structs.replace(WELL, lag=1, oldest=NOW - LATE)
    assert subscription_findings([fresh], HERE)[0].level is Level.OK


def test_one_whose_place_does_not_move_is_wrong() -> None:
    (finding,) = subscription_findings([BEHIND, WELL], HERE)
    assert finding.level is Level.WRONG
    assert "orders.ship of topic orders: 3 events wait, the oldest for 20 min 00 s" in finding.text
    assert "its place has not moved for 20 min 00 s" in finding.text
    assert "tried again" not in finding.text
    failing = structs.replace(BEHIND, retrying=1)
    assert "1 event failed, and tried again" in subscription_findings([failing], HERE)[0].text


def test_no_silent_drop_one_that_no_host_has_is_wrong() -> None:
    left = structs.replace(BEHIND, is_served=False)
    (finding,) = subscription_findings([left, WELL], HERE)
    assert (finding.level, "no host that runs has it" in finding.text) == (Level.WRONG, True)
    removing = "tenuto topics remove orders.ship --topic=orders --storage sqlite:///x.db"
    assert removing in finding.advice
    given_back = structs.replace(left, lag=3, given_back=3, oldest=NOW)
    (finding,) = subscription_findings([given_back], HERE)
    assert finding.level is Level.WRONG, "at once: what is given back is meant to run now"
    served = structs.replace(given_back, is_served=True)
    assert subscription_findings([served], HERE)[0].level is Level.OK


def test_one_that_reads_no_further_is_wrong() -> None:
    full = structs.replace(WELL, lag=20_000, oldest=NOW, is_full=True)
    (finding,) = subscription_findings([full], HERE)
    assert (finding.level, "reads no further" in finding.text) == (Level.WRONG, True)


def test_one_that_moves_or_has_no_host_is_a_note() -> None:
    moves = structs.replace(BEHIND, lag=1, updated_at=NOW)
    (finding,) = subscription_findings([moves], HERE)
    assert (finding.level, "1 event waits" in finding.text) == (Level.NOTE, True)
    (alone,) = subscription_findings([BEHIND], structs.replace(HERE, has_host=False))
    assert (alone.level, "when a host runs" in alone.advice) == (Level.NOTE, True)


def test_what_was_put_aside_is_wrong() -> None:
    (finding,) = subscription_findings([structs.replace(WELL, failed=1)], HERE)
    assert (finding.level, finding.text) == (
        Level.WRONG,
        "orders.ship of topic orders has put aside 1 event",
    )
    assert "tenuto topics failed orders.ship" in finding.advice


def test_spans_that_nobody_takes_are_told_of() -> None:
    spans = structs.replace(BEHIND, name="tenuto.spans", topic="tenuto.spans")
    (finding,) = subscription_findings([spans, WELL], HERE)
    assert finding.level is Level.WRONG
    assert finding.text == "spans of 3 turns wait to be sent, the oldest for 20 min 00 s"
    assert "telemetry.endpoint" in finding.advice
    assert "tenuto topics remove tenuto.spans --topic=tenuto.spans" in finding.advice
