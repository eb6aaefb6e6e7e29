"""``tenuto files``, and the doctor, on files that were put aside: each is listed and given back."""

import asyncio
import json
from pathlib import Path

import pytest

from tenuto import App, ArrivedFile, Host, RetryPolicy
from tenuto.cli.command import run_command_line


async def a_file_fails(folder: Path) -> None:
    app = App()

    @app.files(folder, retry=RetryPolicy(max_attempts=1))
    async def read(file: ArrivedFile) -> None:
        raise ValueError(f"{file.name} cannot be read")

    (folder / "car.txt").write_text("LAX427")
    async with Host(app, storage="sqlite:///tenuto.db") as host:
        while not await host.engine.storage.failed_deliveries():  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.05)


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    asyncio.run(a_file_fails(Path("inbox")))
    return tmp_path / "inbox"


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    found = run_command_line(list(arguments))
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out + captured.err


def test_no_silent_drop_of_a_file_that_was_put_aside(
    inbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, "files", "failed")
    assert "of        folder inbox, for read\n" in text
    assert "ValueError: car.txt cannot be read" in text
    (one,) = json.loads(run(capsys, "files", "failed", "read", "--json"))
    assert one["content"] == {"path": "car.txt", "size": 6}
    assert "no failed deliveries of any folder, function 'other'" in run(
        capsys, "files", "failed", "other"
    )
    doctor = run(capsys, "doctor", code=1)
    assert "read of folder inbox has put aside 1 file" in doctor
    assert "tenuto files failed read; then redrive or drop them" in doctor
    assert "gave back 1 delivery" in run(capsys, "files", "redrive", str(one["number"]))
    assert "no failed deliveries" in run(capsys, "files", "failed")


def test_dropping_a_file_lists_it_no_longer_and_leaves_it(
    inbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "give --yes" in run(capsys, "files", "drop", "--all", code=2)
    assert "of any folder; nothing was done" in run(capsys, "files", "redrive", "99", code=2)
    assert "deleted 1 delivery" in run(capsys, "files", "drop", "--all", "--yes")
    assert "no failed deliveries" in run(capsys, "files", "failed")
    assert (inbox / "car.txt").exists()
