"""What history keeps of an exception's class does not depend on what launched the program."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.terminal import environment

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

SHOP = '''
import os
import sys
from datetime import timedelta
from pathlib import Path

from tenuto import ActivityError, App, Context, OrchestrationFailedError, RetryPolicy
from tenuto import SubOrchestrationError

app = App()
GATE = Path(__file__).parent / "gate"


class PaymentError(Exception):
    class Declined(Exception):
        """Nested, as some do."""


class CardDeclined(PaymentError, ConnectionError):
    pass


@app.activity
def charge() -> None:
    with open("charges", "a") as file:
        file.write("x")
    raise CardDeclined("51")


@app.activity(cpu_bound=True)
def compute() -> None:
    raise PaymentError.Declined("51") from CardDeclined("50")


@app.activity
def stop_once() -> None:
    """Ends the program the first time, so that another launcher has to go on."""
    if not GATE.exists():
        GATE.touch()
        os._exit(9)


@app.orchestrator
async def child(ctx: Context) -> None:
    raise CardDeclined("child")


FINAL = RetryPolicy(
    max_attempts=3,
    first_interval=timedelta(0),
    retry_if=lambda failure: not failure.is_caused_by(CardDeclined),
)


@app.orchestrator
async def order(ctx: Context) -> list[str]:
    found = []
    for call in (
        lambda: ctx.call_activity(charge.options(retry=FINAL)),
        lambda: ctx.call_activity(compute),
        lambda: ctx.call_sub_orchestrator(child),
    ):
        try:
            await call()
        except (ActivityError, SubOrchestrationError) as error:
            failure = error.failure
            found.append(failure.error_type)
            for kind in (CardDeclined, PaymentError, PaymentError.Declined, OSError):
                found.append(str(failure.is_caused_by(kind)))
            assert failure.is_caused_by("CardDeclined")
        if len(found) == 5:
            await ctx.call_activity(stop_once)
    return found


if __name__ == "__main__":
    print(app.run(order, instance_id="order-1", storage="sqlite:///shop.db"))
'''

COMMAND = (sys.executable, "-P", "-m", "tenuto")  # without this folder, as the command itself
LAUNCHERS: dict[str, Callable[[str], list[str]]] = {
    "script": lambda place: [sys.executable, f"{place}.py"],
    "module": lambda place: [sys.executable, "-m", place.replace("/", ".")],
    "run file": lambda place: [*COMMAND, "run", f"{place}.py:order"],
    "run module": lambda place: [*COMMAND, "run", f"{place.replace('/', '.')}:order"],
}


def launch(folder: Path, launcher: str, place: str) -> subprocess.CompletedProcess[str]:
    command = LAUNCHERS[launcher](place)
    if "run" in launcher:
        command += ["--id", "order-1", "--storage", "sqlite:///shop.db", "--json"]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


# The command itself relies on a module "click"; the folder "space" has no __init__.py.
@pytest.mark.parametrize(
    ("first", "then", "place", "module"),
    [
        ("script", "run file", "shop", "shop"),
        ("run file", "script", "shop", "shop"),
        ("module", "run module", "pkg/shop", "pkg.shop"),
        ("run file", "module", "pkg/shop", "pkg.shop"),
        ("script", "run module", "space/shop", "shop"),
        ("module", "run file", "space/shop", "shop"),
        ("script", "run file", "click", "click"),
    ],
)
def test_the_same_decisions_under_another_launcher_replay_is_pure(
    tmp_path: Path, first: str, then: str, place: str, module: str
) -> None:
    file = tmp_path / f"{place}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(SHOP)
    if place.startswith("pkg"):
        (file.parent / "__init__.py").touch()
    killed = launch(tmp_path, first, place)
    assert killed.returncode == 9, killed.stderr
    done = launch(tmp_path, then, place)
    assert done.returncode == 0, done.stderr
    wanted = [f"{module}.CardDeclined", "True", "True", "False", "True"]
    wanted += [f"{module}.PaymentError.Declined", "True", "True", "True", "True"]
    wanted += [f"{module}.CardDeclined", "True", "True", "False", "True"]
    if "run" in then:
        assert json.loads(done.stdout)["output"] == wanted
    else:
        assert done.stdout == f"{wanted}\n"
    assert (tmp_path / "charges").read_text() == "x"  # retry_if knew it, too
