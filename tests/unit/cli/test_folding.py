"""Lines in narrow terminals: cut between words, in a file or a pipe not at all."""

import click
import pytest

from tenuto.cli import doctor, terminal
from tenuto.cli.findings import Finding, Level
from tenuto.cli.flow import _drawn
from tenuto.insight.flow import flow_lines
from tenuto.model.flow import Flow, FlowItem

LONG = "subscription orders.bill of topic orders has put aside 2 events, the oldest an hour ago"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 50)


def test_without_a_terminal_nothing_is_cut() -> None:
    assert terminal.columns() is None
    assert terminal.folded(LONG, "- ", "  ") == [f"- {LONG}"]


@pytest.mark.usefixtures("narrow")
def test_a_text_is_cut_between_words_and_a_long_word_where_the_line_ends() -> None:
    lines = terminal.folded(f"{LONG} {'x' * 60}", "-> ", "   ", "red")
    shown = [click.unstyle(one) for one in lines]
    assert max(map(len, shown)) <= 50
    assert [one[:3] for one in shown] == ["-> ", *["   "] * (len(shown) - 1)]
    assert "".join(one[3:] for one in shown).replace(" ", "") == f"{LONG}{'x' * 60}".replace(
        " ", ""
    )


@pytest.mark.usefixtures("narrow")
def test_the_doctor_keeps_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    doctor._say(
        [
            Finding(
                topic="topics",
                level=Level.WRONG,
                text=LONG,
                advice=f"tenuto topics redrive --all; {LONG}",
            )
        ]
    )
    out = click.unstyle(capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 50
    assert "         -> tenuto topics redrive --all;" in out


@pytest.mark.usefixtures("narrow")
def test_a_flow_keeps_to_the_terminal() -> None:
    def event(ref: str, cause: str | None, at: int) -> FlowItem:
        return FlowItem(
            ref=ref, kind="event", name="a-topic-with-a-long-name", id=ref, cause=cause, at=at
        )

    failed = FlowItem(
        ref="c", kind="failed", name="bill", id="7", cause="b", at=10**9, attempts=2, error=LONG
    )
    items = (event("a", None, 0), event("b", "a", 10**6), failed, event("d", "a", 10**10))
    flow = Flow(asked="c", root="a", items=items)
    shown = [click.unstyle(part) for line in flow_lines(flow) for part in _drawn(line)]
    assert max(map(len, shown)) <= 50
    first = next(number for number, one in enumerate(shown) if "PUT ASIDE" in one)
    assert shown[first].startswith("│  └─ ")
    below = [one for one in shown[first + 1 :] if one.startswith("│     ")]
    assert len(below) >= 2
    assert "<- asked for" in below[-1]
    assert shown[-1].startswith("└─ event")
