"""What `make demo` shows: a host killed in the middle, and books that agree afterwards."""

import importlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "trip_booking"


def perform(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / "demo.py"), str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=55,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", **environment},
    )


def change_ledger(folder: Path, statement: str) -> None:
    # Closed at once: Python 3.13 complains of what is left open, in whichever test runs by then.
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger, ledger:
        ledger.execute(statement)


def test_the_demo_finishes_after_a_kill_with_each_booking_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = perform(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9" in done.stdout
    assert "Asked for again after the crash" in done.stdout
    assert "Verdict: everything finished, nothing was booked twice." in done.stdout
    assert f"sqlite:///{tmp_path / 'tenuto.db'}" in done.stdout
    assert done.stdout.endswith("look at it: http://127.0.0.1:7071/\n")
    assert "\x1b" not in done.stdout  # no terminal, no colours

    # The verdict can fail: a booking more, a booking less, a booking twice.
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "travel", raising=False)  # another test's file of that name
    tree = read_tree(tmp_path)
    assert failed_claims(tmp_path, tree) == []
    change_ledger(tmp_path, "UPDATE entry SET key = 'another' WHERE number = 1")
    assert any("stands once in history" in claim for claim in failed_claims(tmp_path, tree))
    change_ledger(tmp_path, "UPDATE entry SET is_canceled = 0")
    assert any("was canceled" in claim for claim in failed_claims(tmp_path, tree))


def test_the_demo_fails_with_a_reason_when_the_host_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "tenuto.db").write_bytes(b"not a store" * 1000)

    done = perform(tmp_path)

    assert done.returncode == 1
    assert "damaged or not a Tenuto store" in " ".join(done.stdout.split())


def read_tree(folder: Path) -> dict[str, object]:
    import asyncio

    from tenuto import Client

    steps = importlib.import_module("steps")
    travel = importlib.import_module("travel")

    async def read() -> dict[str, object]:
        async with Client.open(f"sqlite:///{folder / 'tenuto.db'}") as client:
            return {
                one.instance_id: one async for one in steps.read_tree(client, travel.INSTANCE_ID)
            }

    return asyncio.run(read())


def failed_claims(folder: Path, tree: dict[str, object]) -> list[str]:
    ledger = importlib.import_module("ledger")
    verdict = importlib.import_module("verdict")
    findings = verdict.examine(tree, ledger.entries(folder))
    return [finding.claim for finding in findings if not finding.holds]
