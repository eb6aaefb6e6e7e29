"""What a read costs does not grow with the product of what there is, in steps of SQLite's own."""

from typing import Any, Final

import apsw
import msgspec
import pytest

from tenuto.storage.sqlite.queries import MIGRATIONS, SQL

_EVENTS: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :events)
INSERT INTO event (event_id, topic, event_key, published_at, event)
    SELECT 'e' || i, 't', 'k', i, '1' FROM n"""
_SUBSCRIPTIONS: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO subscription (name, topic, position, done, updated_at)
    SELECT 's' || i, 't', :furthest - i % 5, '[]', 0 FROM n"""
_WAITS: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO topic_wait (iid, task_id, partition, topic, event_key, after)
    SELECT i, 0, 0, 't', 'k', 0 FROM n"""
_GIVEN_BACK: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO redelivery (subscription, event_id, topic, published_at, event)
    SELECT 's' || i % 2, 'e' || i, 't', 0, '1' FROM n"""
_PUT_ASIDE: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO failed_delivery (source, name, function, message_id, attempts, failed_at, error,
    content)
    SELECT 'topic', 't', 's', 'e' || i, 1, 0, '', '{}' FROM n"""
_WAITING: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO outgoing (hub, message_id, instance_id, message) SELECT 'hub', 'm' || i, 'x', '{}'
    FROM n"""
_STEPS: Final = 100


def _store() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    for script in MIGRATIONS:
        connection.execute(script)
    return connection


def _steps(connection: apsw.Connection, name: str, **arguments: Any) -> int:
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += _STEPS
        return False

    connection.set_progress_handler(count, _STEPS)
    connection.execute(SQL[name], arguments).fetchall()
    connection.set_progress_handler(None)
    return steps


@pytest.mark.parametrize("furthest", [5, 4_995])
def test_many_subscriptions_count_the_events_of_a_topic_once(furthest: int) -> None:
    def cost(count: int) -> int:
        connection = _store()
        connection.execute(_EVENTS, {"events": 5_000})
        connection.execute(_SUBSCRIPTIONS, {"count": count, "furthest": furthest})
        return _steps(connection, "subscription_list")

    # Each has a row of its own to be told of.
    assert cost(200) < cost(5) + 200 * 300


def test_an_event_after_the_other_of_one_key_looks_once_at_who_waits_for_it() -> None:
    def cost(events: int) -> int:
        connection = _store()
        connection.execute(_EVENTS, {"events": events})
        connection.execute(_WAITS, {"count": 2_000})
        return _steps(connection, "topic_waits_since", cursor=0, limit=2_000)

    assert cost(500) < 2 * cost(1) + 500 * 100


def test_who_has_read_nothing_of_what_goes_costs_no_more_than_a_row() -> None:
    def cost(count: int) -> int:
        connection = _store()
        connection.execute(_EVENTS, {"events": 1_000})
        connection.execute(_SUBSCRIPTIONS, {"count": count, "furthest": 0})
        return _steps(connection, "trim_unread", topic="t", position=500, before=0, limit=500)

    assert cost(200) < cost(5) + 200 * 300


def test_many_events_that_were_given_back_cost_publishers_nothing() -> None:
    def cost(count: int) -> int:
        connection = _store()
        connection.execute(_GIVEN_BACK, {"count": count})
        return _steps(connection, "topic_news", cursor=0)

    assert cost(2_000) == cost(20)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("flow_failures", {"causes": '["event:t/e7"]', "limit": 10}),
        ("flow_event", {"place": "t", "id": "e7"}),
    ],
)
def test_what_was_put_aside_is_found_by_what_it_was(name: str, arguments: dict[str, Any]) -> None:
    def cost(count: int) -> int:
        connection = _store()
        connection.execute(_PUT_ASIDE, {"count": count})
        return _steps(connection, name, **arguments)

    assert cost(2_000) == cost(20)


def test_what_was_put_aside_is_counted_in_its_index() -> None:
    connection = _store()
    rows = connection.execute(f"EXPLAIN QUERY PLAN {SQL['failed_counts']}")
    scans = [row[3] for row in rows if "SCAN failed_delivery" in str(row[3])]
    assert scans == ["SCAN failed_delivery USING COVERING INDEX failed_delivery_of"]


def test_what_waits_for_a_hub_is_not_counted_each_time() -> None:
    def cost(count: int) -> int:
        connection = _store()
        connection.execute("INSERT INTO linked_hub (name, called, key) VALUES ('hub', 'me', 'k')")
        connection.execute(_WAITING, {"count": count})
        return _steps(connection, "linked_hubs")

    assert cost(2_000) == cost(20)


def test_what_waits_is_known_when_a_store_becomes_one_of_this_version() -> None:
    connection = apsw.Connection(":memory:")
    script = next(number for number, one in enumerate(MIGRATIONS) if "outgoing_total" in one)
    for one in MIGRATIONS[:script]:
        connection.execute(one)
    connection.execute("INSERT INTO linked_hub (name, called, key) VALUES ('hub', 'me', 'k')")
    connection.execute(_WAITING, {"count": 3})
    for one in MIGRATIONS[script:]:
        connection.execute(one)

    def waits() -> tuple[int, int]:
        ((hubs,),) = connection.execute(SQL["linked_hubs"])
        (hub,) = msgspec.json.decode(hubs)
        return hub["waiting"], hub["waitingBytes"]

    assert waits() == (3, 6)
    connection.execute("INSERT OR IGNORE INTO outgoing SELECT * FROM outgoing")
    assert waits() == (3, 6)
    connection.execute("DELETE FROM outgoing WHERE sequence < 3")
    assert waits() == (1, 2)
