"""The root cause is what people read, wherever they look: fifty orchestrations deep, and where it
came up while another failure was being handled.
"""

import json
from pathlib import Path

import pytest

from tests.support.terminal import Command, tenuto

APP = """
from tenuto import App, Context

app = App()


class CardDeclined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"the card was declined with {code}")
        self.code = code


@app.activity
def charge() -> None:
    raise CardDeclined(51)


@app.activity
def refund() -> None:
    raise OSError("no line")


@app.orchestrator
async def undo(ctx: Context) -> None:
    try:
        await ctx.call_activity(charge)
    except Exception:
        await ctx.call_activity(refund)
        raise


@app.orchestrator
async def order(ctx: Context, below: int) -> None:
    if below:
        await ctx.call_sub_orchestrator(order, below - 1)
    else:
        await ctx.call_activity(charge)
"""
TEXT = "CardDeclined: the card was declined with 51 (failed 49 levels below, in activity 'charge')"
ROOT = "CardDeclined: the card was declined with 51 (49 levels below, in activity 'charge')"
SAID = "the card was declined with 51"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "tenuto.toml").write_text('storage = "sqlite:///s.db"\n')
    return tmp_path


def test_a_failure_fifty_levels_deep_says_its_root_cause_first_and_once(folder: Path) -> None:
    run = tenuto(folder, "run", "shop.py:order", "--input", "49", "--id", "o")
    assert run.returncode == 1
    ending = run.stdout[run.stdout.index("failed after") :]
    assert ending.splitlines()[1] == f"  shop.{ROOT}"
    assert ending.count(SAID) == 1
    assert "raise CardDeclined(51)" in ending

    shown = tenuto(folder, "instances", "show", "o").stdout
    assert f"\nshop.{ROOT}\n" in shown
    assert "SubOrchestrationError" not in shown
    assert shown.splitlines()[-1].startswith("    ")

    document = json.loads(tenuto(folder, "instances", "show", "o", "--json").stdout)
    failure, links = document["failure"], []
    while failure is not None:
        links.append(failure)
        failure = failure.get("innerFailure")
    assert len(links) == 20
    assert links[-1]["errorType"] == "shop.CardDeclined"
    assert links[-1]["properties"] == {"code": 51}
    assert all(link["errorMessage"].count(SAID) == 1 for link in links)
    assert len(json.dumps(document["failure"])) < 30_000


def test_a_server_says_it_too(folder: Path) -> None:
    with Command(folder, "start", "shop.py", "--port", "0") as command:
        command.until("listening ")
        started = tenuto(
            folder, "instances", "start", "order", "--input", "49", "--id", "o", "--wait"
        )
        assert f"shop.{ROOT}" in started.stdout + started.stderr
        command.until(f"instance 'o' (order) failed: shop.{TEXT}")


def test_what_fails_in_a_handler_is_read_first_wherever_one_looks(folder: Path) -> None:
    handled = "shop.CardDeclined: the card was declined with 51 (in activity 'charge')"
    run = tenuto(folder, "run", "shop.py:undo", "--id", "u")
    ending = run.stdout[run.stdout.index("failed after") :]
    assert ending.splitlines()[1] == "  OSError: no line (in activity 'refund')"
    assert f"  while handling {handled}" in ending.splitlines()
    shown = tenuto(folder, "instances", "show", "u").stdout
    assert shown.index("\nOSError: no line (in") < shown.index(f"\nwhile handling {handled}\n")
    document = json.loads(tenuto(folder, "instances", "show", "u", "--json").stdout)
    refund = document["failure"]["innerFailure"]
    assert (refund["errorType"], refund["whileHandling"]) == ("OSError", True)
    assert refund["innerFailure"]["innerFailure"]["errorType"] == "shop.CardDeclined"
    assert "whileHandling" not in refund["innerFailure"]

    with Command(folder, "start", "shop.py", "--port", "0") as command:
        command.until("listening ")
        started = tenuto(folder, "instances", "start", "undo", "--id", "u2", "--wait")
        text = f"OSError: no line (in activity 'refund'); raised while handling {handled}"
        assert text.partition(";")[0] in started.stdout + started.stderr
        command.until(f"instance 'u2' (undo) failed: {text}")
