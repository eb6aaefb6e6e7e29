"""A check that takes long says how far it is, and not at every instance."""

import pytest

from tenuto.cli import check_replay


def test_how_far_it_is_is_said_after_a_while_and_then_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = check_replay.Progress()
    for second in range(1, 15):
        now[0] = second
        progress(1_000 * second)
    captured = capsys.readouterr()
    assert captured.err == "2,000 instances looked at\n12,000 instances looked at\n"
    assert not captured.out
