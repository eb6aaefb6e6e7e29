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
    name="orders.ship", topic="orders", position=9, lag=0, oldest=None, failed=0, updated_at=at(0)
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
    assert "tenuto topics remove orders.ship --storage sqlite:///x.db" in finding.advice


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
