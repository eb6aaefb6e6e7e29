"""What people write behind options."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from tenuto.cli.arguments import json_text, since

CONTEXT = click.Context(click.Command("run"))
OPTION = click.Option(["--input"])


def read(value: str | None) -> str | None:
    return json_text(CONTEXT, OPTION, value)


def moment(value: str | None) -> datetime | None:
    return since(CONTEXT, OPTION, value)


def refusal(parse: Callable[[str], object], value: str) -> str:
    with pytest.raises(click.BadParameter) as caught:
        parse(value)
    return caught.value.message


def test_json_is_kept_to_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ' {"price": 1.50, "a": 1} '
    (tmp_path / "trip.json").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert read(text) == text
    assert read(f"@{tmp_path}/trip.json") == text
    assert read("@-") == text
    assert read(None) is None


@pytest.mark.parametrize("text", ["", "Tokyo", "'x'", "NaN"])
def test_what_is_not_json_is_refused_with_a_hint_on_quotes(text: str) -> None:
    message = refusal(read, text)
    assert "is not JSON" in message
    assert message.endswith("a text needs quotes of its own: '\"Tokyo\"'")


@pytest.mark.parametrize("text", ['{"a":', "[1,]", '"x', '{"a": "\udc80"}'])
def test_broken_json_is_refused_saying_where(text: str) -> None:
    message = refusal(read, text)
    assert "is not JSON" in message
    assert "quotes" not in message


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    assert refusal(read, "@missing.json") == "there is no file 'missing.json'"
    assert f"the file '{tmp_path}' cannot be read" in refusal(read, f"@{tmp_path}")
    (tmp_path / "latin.json").write_bytes(b'"\xff"')
    assert "cannot be read" in refusal(read, f"@{tmp_path}/latin.json")
    assert "cannot be read" in refusal(read, "@a\x00b")
    (tmp_path / "broken.json").write_text("nope")
    assert f"what @{tmp_path}/broken.json holds is not JSON" in refusal(
        read, f"@{tmp_path}/broken.json"
    )


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        (" 2 h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_moment_may_be_a_time_ago(text: str, ago: timedelta) -> None:
    found = moment(text)
    assert found is not None
    assert abs(datetime.now(UTC) - ago - found) < timedelta(minutes=1)


def test_a_moment_may_be_a_date_or_time_local_unless_it_has_a_zone() -> None:
    assert moment("2026-01-31") == datetime(2026, 1, 31).astimezone()
    assert moment("2026-01-31T18:00") == datetime(2026, 1, 31, 18).astimezone()
    assert moment("2026-01-31T18:00+02:00") == datetime(2026, 1, 31, 16, tzinfo=UTC)
    assert moment(None) is None


@pytest.mark.parametrize("text", ["yesterday", "", "5y", "99999999999d", "2026-13-01"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    assert "is no moment; write 30s, 10m, 2h, 7d" in refusal(moment, text)


def test_json_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    deep = "[" * 5_000 + "]" * 5_000
    assert refusal(read, deep) == "it is nested too deep"
    (tmp_path / "deep").write_text(deep)
    assert refusal(read, f"@{tmp_path}/deep") == f"what @{tmp_path}/deep holds is nested too deep"
