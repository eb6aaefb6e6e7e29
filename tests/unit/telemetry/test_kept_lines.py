"""What instances have logged is kept in bounded memory, and what is gone is told."""

import tracemalloc

from tenuto.telemetry.kept_lines import KeptLine, KeptLines
from tenuto.telemetry.log_options import InstanceLogSettings

SINCE = 1_000


def line(number: int, text: str = "") -> KeptLine:
    message = text or f"line {number}"
    return KeptLine(number=number, at=SINCE + number, level="info", logger="app", message=message)


def numbers(
    kept: KeptLines, instance_id: str, after: int | None = None, limit: int = 999
) -> object:
    return [one.number for one in kept.page(instance_id, after, limit).lines]


def test_the_last_lines_of_an_instance_are_kept_and_the_dropped_are_counted() -> None:
    kept = KeptLines(InstanceLogSettings(lines=3), SINCE)
    assert kept.page("one", None, 10).since == SINCE
    for number in range(5):
        kept.add("one", line(number))
    kept.add("two", line(5))
    page = kept.page("one", None, 10)
    assert [one.number for one in page.lines] == [2, 3, 4]
    assert (page.dropped, page.since) == (2, SINCE + 2)
    assert kept.page("two", None, 10).dropped == 0
    assert kept.page("two", None, 10).since == SINCE


def test_a_page_has_the_last_lines_or_those_that_follow() -> None:
    kept = KeptLines(InstanceLogSettings(), SINCE)
    for number in range(1, 8):
        kept.add("one", line(number))
    assert numbers(kept, "one", limit=2) == [6, 7]
    assert numbers(kept, "one", after=2, limit=2) == [3, 4]
    assert numbers(kept, "one", after=7) == []
    assert numbers(kept, "nobody") == []


def test_long_lines_push_others_out_by_their_size() -> None:
    kept = KeptLines(InstanceLogSettings(bytes=10_000), SINCE)
    for number in range(20):
        kept.add("one", line(number, "x" * 1_000))
    assert len(kept.page("one", None, 99).lines) == 7
    kept.add("one", line(20, "\N{SLICE OF PIZZA}" * 3_000))  # twelve thousand bytes
    assert numbers(kept, "one") == []
    assert kept.page("one", None, 99).dropped == 21


def test_for_room_the_instance_that_was_silent_for_longest_is_forgotten() -> None:
    kept = KeptLines(InstanceLogSettings(all_lines=4), SINCE)
    for number, instance_id in enumerate(["one", "two", "one", "three", "one"]):
        kept.add(instance_id, line(number))
    assert numbers(kept, "two") == []
    assert kept.page("two", None, 9).since == SINCE + 2, "it may have had lines up to there"
    assert numbers(kept, "one") == [0, 2, 4]
    assert kept.page("one", None, 9).since == SINCE, "of this one none was dropped"
    kept.add("two", line(9))
    assert kept.page("two", None, 9).since >= SINCE + 2


def test_a_million_lines_leave_no_more_than_is_allowed() -> None:
    settings = InstanceLogSettings(all_bytes=4 * 1024 * 1024)
    kept = KeptLines(settings, SINCE)
    long = line(0, "x" * 5_000)
    for number in range(1_000_000):
        kept.add(f"instance-{number % 20_000}", long if number % 7 else line(number))
        if number % 100_000 == 0:
            assert kept.bytes <= settings.all_bytes
            assert kept.count <= settings.all_lines
    assert 0 < kept.bytes <= settings.all_bytes


def test_lines_take_the_memory_that_they_are_said_to_take() -> None:
    settings = InstanceLogSettings(all_bytes=1024 * 1024)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = KeptLines(settings, SINCE)
        for number in range(5_000):  # each text is made anew, as those of records are
            kept.add(f"instance-{number % 1_000}", line(number, f"{number} " + "\u00e9" * 200))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 * settings.all_bytes < used - before < 1.25 * settings.all_bytes


def test_what_is_forgotten_gives_all_of_its_memory_back() -> None:
    kept = KeptLines(InstanceLogSettings(all_lines=0), SINCE)
    for number in range(10):
        kept.add(f"instance-{number % 3}", line(number))
    assert (kept.count, kept.bytes) == (0, 0)
