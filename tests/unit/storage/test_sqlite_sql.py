"""The SQL stays fast and lean: plans, encoding in pieces, values that are too long."""

import re
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.engine.rows import CommitResult
from tenuto.model.errors import StorageError
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstanceQuery
from tenuto.storage import pages
from tenuto.storage.sqlite import SqliteStorage, batch, narrowing, reader, writer
from tenuto.storage.sqlite.errors import translate
from tenuto.storage.sqlite.queries import MIGRATIONS, SQL
from tests.conformance.storage_suite import Owner, letter, message, record, turn, update
from tests.support.inboxes import waiting_in


def plan(sql: str) -> str:
    connection = apsw.Connection(":memory:")
    for script in MIGRATIONS:
        connection.execute(script)
    names: dict[str, None] = dict.fromkeys(re.findall(r":(\w+)", sql))
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", names)
    return "\n".join(str(row[3]) for row in rows)


_OF_HELD = {
    *("some_held", "list_held_newest", "list_held_oldest", "list_open_newest", "list_open_oldest")
}
"""They look at those that are held, of which there are few; that was counted before."""


@pytest.mark.parametrize("name", sorted(SQL))
def test_no_query_reads_a_whole_table(name: str) -> None:
    """Whole tables are read only where the purpose is to have all of them."""
    scans = [
        line
        for line in plan(SQL[name]).splitlines()
        if line.startswith("SCAN") and "VIRTUAL TABLE" not in line and "CONSTANT ROW" not in line
    ]
    allowed = {
        "list_newest": "SCAN instance USING INDEX instance_created",
        "leases": "SCAN partition",
        "acquire": "SCAN partition",
        # The doctor's: a person asks, and not often.
        "status_counts": "SCAN instance",
        "instance_count": "SCAN instance",
        "lost_histories": "SCAN history",
        "without_history": "SCAN instance",
        "lost_messages": "SCAN inbox",
        "unknown_types": "SCAN inbox",
        "unserved_partitions": "SCAN inbox",
        "inbox_counts": "SCAN inbox",
        "held_counts": "SCAN instance USING INDEX instance_held",  # only those that are held
        "misfits": "SCAN instance USING INDEX instance_held",  # the same
        **dict.fromkeys(_OF_HELD, "SCAN instance USING INDEX instance_held"),
        "inbox_waiting": "SCAN inbox",  # in the order of its key, the first rows only
    }
    scans = [line for line in scans if not line.startswith(allowed.get(name, "-"))]
    assert [line for line in scans if re.match(r"SCAN (instance|history|inbox)\b", line)] == []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("due", "instance_wake (partition=? AND wake_at>? AND wake_at<?)"),
        ("open_by_root", "instance_open_child"),
        ("list_newest", "instance_created (created_at>? AND created_at<?)"),
        ("list_oldest", "instance_created (created_at>? AND created_at<?)"),
        ("list_prefix_newest", "(instance_id>? AND instance_id<?)"),
        ("list_prefix_oldest", "(instance_id>? AND instance_id<?)"),
        ("list_last_completed", "instance_completed (completed_at>? AND completed_at<?)"),
        ("list_first_completed", "instance_completed (completed_at>? AND completed_at<?)"),
        ("list_held_newest", "INDEX instance_held"),
        ("list_held_oldest", "INDEX instance_held"),
        ("list_failed_newest", "instance_failed (created_at>? AND created_at<?)"),
        ("list_failed_oldest", "instance_failed (created_at>? AND created_at<?)"),
        ("list_open_newest", "instance_open (status=?"),
        ("list_open_oldest", "instance_open (status=?"),
        ("some_open", "instance_open (status=?"),
        ("some_prefixed", "(instance_id>? AND instance_id<?)"),
        ("list_children_newest", "instance_parent (<expr>=?)"),
        ("list_children_oldest", "instance_parent (<expr>=?)"),
        ("open_counts", "COVERING INDEX instance_open (status=?"),
        ("turns", "history_turn (iid=? AND generation=?)"),
        ("arrived_instances", "PRIMARY KEY (rowid<?)"),
    ],
)
def test_queries_use_their_index(name: str, index: str) -> None:
    assert index in plan(SQL[name])
    if name in {
        "list_newest",
        "list_oldest",
        "list_last_completed",
        "list_first_completed",
        "turns",
    }:
        assert "TEMP B-TREE" not in plan(SQL[name])


def test_every_query_has_a_purpose_and_a_use() -> None:
    folder = Path(reader.__file__).parent
    code = "\n".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    assert len(SQL) > 25
    listings = {name for name in SQL if name.startswith("list_")}
    unused = {name for name in SQL if f'"{name}"' not in code} - listings
    assert unused == set()
    assert listings == {
        f"list_{kind}{order}"
        for kind in ("", "prefix_", "children_", "held_", "failed_", "open_")
        for order in ("newest", "oldest")
    } | {"list_last_completed", "list_first_completed"}


_FEW_ROWS = {
    "leases": "partitions",
    "open_by_root": "unfinished instances, which the host has in memory",
    "held_counts": "reasons",
    "open_counts": "statuses",
    "status_counts": "statuses",
    "arrival_numbers": "tables",
    "link_names": "links",
    "linked_hubs": "links",
    "orphaned_hubs": "hubs that were linked",
    "outgoing": "a span whose lengths were added up",
    "calls_given_up": "another",
    "all_dead_letters": "numbers of the 10,000 that are kept",
    "pieces": "of one message",
    "subscription_list": "subscriptions",
    "topic_news": "topics",
    "topic_names": "topics",
    "failed_counts": "functions",
    "queue_list": "queues",
    "queue_in_work": "messages that functions have",
}


@pytest.mark.parametrize("name", sorted(SQL))
def test_one_value_is_made_of_few_rows_or_of_as_many_as_were_asked_for(name: str) -> None:
    """What waits for a hub, or is put aside, may be more than memory holds."""
    text = SQL[name]
    if re.search(r"json_group_|group_concat", text) is None:
        return
    assert "INSERT" not in text, "rows go from table to table, not through a value"
    is_bounded = re.search(r"LIMIT :|json_each\(:(?!partitions)", text) is not None
    assert is_bounded or name in _FEW_ROWS or name in {"due", "misfits"}, name


# --- too long for one statement or one value ---------------------------------------------------


async def test_a_batch_too_long_for_one_statement_is_cut_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ONE_STATEMENT_BYTES", 300)
    monkeypatch.setattr(narrowing, "ONE_STATEMENT_BYTES", 300)
    storage = SqliteStorage(tmp_path / "hub.db")
    owner = await Owner.of(storage)
    numbers = range(1, 30)
    long = owner.batch(
        "long",
        instances=[record(number) for number in numbers],
        updates=[update(number, output=str(number)) for number in numbers],
        history=[turn(number, 0) for number in numbers],
        inbox=[message(f"m{number}") for number in numbers],
        purged=[29],
        dead_letters=[letter(1)],
    )
    await owner.send(long)
    page = await storage.query(InstanceQuery(order="oldest"))
    assert [row.output for row in page.records] == [str(number) for number in numbers][:-1]
    loaded = await storage.load_instances(list(numbers))
    assert {len(one.turns) for one in loaded} == {1}
    assert len(loaded[0].inbox) == 29
    assert await storage.landed(long) == CommitResult()

    # All or nothing: the last piece fails.
    with pytest.raises(StorageError):
        await owner.commit(
            instances=[record(50)], history=[turn(50, number % 28) for number in range(40)]
        )
    assert await storage.get(InstanceId("instance-50")) is None
    assert await storage.landed(long) == CommitResult()
    await storage.append([message(f"n{number}") for number in numbers])
    assert len(await waiting_in(storage)) == 58
    await storage.close()


@pytest.mark.parametrize("longest", [400, 2_000, 20_000])
@pytest.mark.parametrize("path", ["hub.db", ":memory:"])
async def test_results_too_long_for_one_value_are_read_in_halves(
    tmp_path: Path, path: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(path if path == ":memory:" else tmp_path / path)
    owner = await Owner.of(storage)
    text = msgspec.json.encode("x" * 300).decode()
    numbers = list(range(1, 12))
    await owner.commit(
        instances=[record(number, input=text) for number in numbers],
        history=[turn(number, k) for number in numbers for k in range(number * 20)],
        inbox=[message(f"m{number}", f"instance-{number}", text) for number in numbers],
        dead_letters=[letter(number, body=text.encode()) for number in numbers],
    )
    expected = await storage.load_instances(numbers), await storage.dead_letters()
    monkeypatch.setattr(reader, "LONGEST_VALUE", longest)
    found = await storage.load_instances(numbers), await storage.dead_letters()
    assert msgspec.json.encode(found) == msgspec.json.encode(expected)
    assert len(await storage.history(InstanceId("instance-11"))) == 220
    await storage.close()


@given(st.lists(st.text(max_size=30), max_size=40), st.integers(1, 200))
def test_cutting_keeps_every_row_in_order(rows: list[str], longest: int) -> None:
    parts = [msgspec.json.decode(part, type=list[str]) for part in batch.cut(rows, longest)]
    assert [row for part in parts for row in part] == rows
    assert all(
        len(part) == 1 or len(msgspec.json.encode(part).decode()) <= longest for part in parts
    )


text_of_utf8 = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
edges = st.text(st.sampled_from("a\ud7ff\ue000\U0010fffe\U0010ffff"), min_size=1, max_size=4)


@given(text_of_utf8 | edges, text_of_utf8 | edges)
@example("\U0010ffff", "\U0010ffff")
@example("a\ud7ff", "a\ue000")
def test_the_range_of_a_prefix_is_exact(prefix: str, text: str) -> None:
    connection = apsw.Connection(":memory:")
    for candidate in (text, prefix, prefix + text):
        arguments = (candidate, prefix, candidate, pages.behind(prefix) or b"")
        (inside,) = connection.execute("SELECT ? >= ? AND ? < ?", arguments).fetchall()[0]
        assert bool(inside) == candidate.startswith(prefix)


def test_an_error_nobody_thought_of_says_so() -> None:
    error = translate(apsw.MismatchError("datatype mismatch"), "/a/hub.db", "write to")
    assert type(error) is StorageError
    assert "defect in Tenuto" in str(error)
    assert "datatype mismatch" in str(error)
