"""Histories as files: what ``tenuto instances export`` writes and replay checks read.

One file for each instance, with all that a host would read of it: its row, the turns of its current
execution, what waits for it. Payloads stay to the letter: code decides by them, so that a history
without them cannot be replayed. Files are for their owner alone, as they hold what the store holds.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from tenuto.engine.ports import LoadedInstance
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import decode_turn, encode
from tenuto.model.errors import InputError
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord

SUFFIX: Final = ".history.json"
_FORM: Final = 1
"""Of the files; another number says that an older Tenuto cannot read them."""

_LONGEST_NAME: Final = 100
_PLAIN: Final = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9][a-z0-9_-]*",  # none of Windows' devices
    re.ASCII,
)
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


class _History(Struct, frozen=True, kw_only=True, rename="camel"):
    """The form of a file."""

    tenuto_history: int
    instance: InstanceRecord
    turns: list[Raw]
    inbox: list[InboxRow] = []
    previous_turn: Raw | None = None
    unread: list[tuple[int, Raw]] = []


class _Form(Struct, frozen=True, rename="camel"):
    """What says whether the rest can be understood."""

    tenuto_history: int


_decode: Final = msgspec.json.Decoder(_History).decode
_decode_form: Final = msgspec.json.Decoder(_Form).decode


def file_name(instance_id: InstanceId) -> str:
    """The name of an instance's file: its id as far as that can be one, and never another's."""
    if _PLAIN.fullmatch(instance_id) and len(instance_id) <= _LONGEST_NAME:
        return f"{instance_id}{SUFFIX}"
    digest = hashlib.sha256(instance_id.encode()).hexdigest()[:16]
    stem = _FOREIGN.sub("_", instance_id)[:_LONGEST_NAME]
    return f"{stem}+{digest}{SUFFIX}"


def write_history(folder: Path, loaded: LoadedInstance) -> Path:
    """Write an instance's file; one that is there is replaced, never left half written.

    Args:
        folder: Where to; it exists.
        loaded: The instance.
    """
    document = _History(
        tenuto_history=_FORM,
        instance=loaded.record,
        turns=[Raw(turn) for turn in loaded.turns],
        inbox=loaded.inbox,
        previous_turn=None if loaded.previous_turn is None else Raw(loaded.previous_turn),
        unread=[(number, Raw(event)) for number, event in loaded.unread],
    )
    path = folder / file_name(loaded.record.instance_id)
    fresh = path.with_suffix(".part")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(encode(document) + b"\n")
    return fresh.replace(path)


def histories_in(place: Path) -> list[Path]:
    """The files that replay checks would read in a folder and below it."""
    return sorted(place.rglob(f"*{SUFFIX}"))


def read_histories(place: Path) -> Iterator[LoadedInstance]:
    """The histories in a folder and those below it, or in one file, one after the other.

    Raises:
        InputError: there are none, or a file is not a history that this Tenuto can read.
    """
    paths = [place] if place.is_file() else histories_in(place)
    if not paths:
        raise InputError(
            f"there are no histories in {str(place)!r}; their names end with {SUFFIX}, and "
            "`tenuto instances export --to DIR` writes them"
        )
    for path in paths:
        yield _read(path)


def _read(path: Path) -> LoadedInstance:
    try:
        content = path.read_bytes()
        form = _decode_form(content).tenuto_history
        if form != _FORM:
            raise InputError(
                f"{str(path)!r} has the form {form}, this Tenuto reads {_FORM}: use the Tenuto "
                "that wrote it, or export it again"
            )
        found = _decode(content)
        for turn in found.turns:
            _ = decode_turn(turn)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is not a history: {error}") from None
    return LoadedInstance(
        record=found.instance,
        turns=[bytes(turn) for turn in found.turns],
        inbox=found.inbox,
        previous_turn=None if found.previous_turn is None else bytes(found.previous_turn),
        unread=[(number, bytes(event)) for number, event in found.unread],
    )
