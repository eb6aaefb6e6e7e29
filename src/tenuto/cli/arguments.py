"""What people write behind options, made into values; each mistake gets one clear error."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from click.shell_completion import CompletionItem

from tenuto.insight.wording import one_line

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"(\d+)\s*([smhdw])")


def json_text(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """JSON as given, or with ``@file`` or ``@-`` that of a file; kept to the letter."""
    if value is None:
        return None
    text = _read(value[1:]) if value.startswith("@") else value
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        what = f"what {value} holds" if value.startswith("@") else one_line(value, 100)
        plain = text.lstrip()[:1] not in {"{", "[", '"'}
        hint = "; a text needs quotes of its own: '\"Tokyo\"'" if plain else ""
        reason = str(error).removeprefix("JSON is malformed: ")
        raise click.BadParameter(f"{what} is not JSON: {reason}{hint}") from None
    except RecursionError:
        what = f"what {value} holds" if value.startswith("@") else "it"
        raise click.BadParameter(f"{what} is nested too deep") from None
    return text


def target_completion(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A shell offers the names of files where an app is to be named."""
    return [CompletionItem(incomplete, type="file")]


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise click.BadParameter(f"there is no file {name!r}") from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a name that cannot be
        raise click.BadParameter(f"the file {name!r} cannot be read: {error}") from None


def since(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """A moment in the past: ``2h`` ago, or an ISO date or time, local unless it has a zone."""
    if value is None:
        return None
    try:
        if ago := _AGO.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no moment; write 30s, 10m, 2h, 7d, or 2026-01-31, or 2026-01-31T18:00"
        ) from None


def tag_pairs(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    """Labels written ``key=value``."""
    tags: dict[str, str] = {}
    for one in values:
        key, separator, value = one.partition("=")
        if not key or not separator:
            raise click.BadParameter(f"{one!r} is no label; write key=value")
        if key in tags:
            raise click.BadParameter(f"label {key!r} is given twice")
        tags[key] = value
    return tags or None


def length_of_time(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> timedelta | None:
    """A length of time: ``30d``."""
    if value is None:
        return None
    try:
        if length := _AGO.fullmatch(value.strip()):
            return timedelta(**{_UNITS[length[2]]: int(length[1])})
    except OverflowError:
        pass
    raise click.BadParameter(f"{value!r} is no length of time; write 30s, 10m, 2h, 7d or 4w")
