"""The booking offices of the world: a folder with one file for each booking.

A request whose key has been seen before is not booked again, as any good booking service does it.
"""

import hashlib
import json
import os
from pathlib import Path


def book(key: str, kind: str, what: str, price: int) -> dict:
    file = _place(key)
    if not file.exists():
        _write(file, {"key": key, "kind": kind, "what": what, "price": price, "canceled": False})
    return {"key": key, "kind": kind, "what": what, "price": price}


def cancel(key: str) -> None:
    file = _place(key)
    _write(file, {**json.loads(file.read_text("utf-8")), "canceled": True})


def _place(key: str) -> Path:
    folder = Path(os.environ.get("LEDGER", "ledger"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _write(file: Path, booking: dict) -> None:
    """Written beside and renamed, so that nobody ever reads half a booking."""
    draft = file.with_suffix(f".{os.getpid()}.draft")
    draft.write_text(json.dumps(booking, ensure_ascii=False), "utf-8")
    draft.replace(file)
