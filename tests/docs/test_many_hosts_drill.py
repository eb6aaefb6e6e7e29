"""The drill of the page about many hosts, followed with real processes: its app, its commands.

Sooner than by the page: leases are shorter, and so are the activities.
"""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres, fresh_schema
from tests.support.terminal import TENUTO, Program, tenuto, tenuto_here

if sys.platform == "win32":
    pytest.skip("a shell of POSIX", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "many-hosts.md"
INSTANCES = [f"count-{number}" for number in range(1, 13)]
_SECONDS = 60


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


class Drill:
    """A folder with the page's app, and terminals in which commands are typed."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.folder = folder
        self.env = {"TENUTO_STORAGE": url, "TENUTO_LEASE_SECONDS": "2"}
        self._stack = stack

    def write(self, text: str) -> None:
        assert "await asyncio.sleep(1)" in text
        (self.folder / "app.py").write_text(text.replace("sleep(1)", "sleep(0.2)"))

    def start(self) -> Program:
        """A host in a terminal of its own; ports are any, as tests run beside each other."""
        words = (*TENUTO, "start", "app.py", "--port", "0")
        host = self._stack.enter_context(Program(self.folder, *words, env=self.env))
        host.until("listening")
        return host

    def type(self, *words: str) -> str:
        done = tenuto_here(self.folder, *words, env=self.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "secret" not in done.stdout + done.stderr
        return done.stdout

    def hosts(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.type("hosts", "--json"))

    def until(self, holds: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - any JSON
        """Look at the hosts until it holds."""
        last = time.monotonic() + _SECONDS
        while not holds(found := self.hosts()):
            assert time.monotonic() < last, found
        return found


@pytest.fixture
def drill(safe_postgres: Postgres, tmp_path: Path) -> Iterator[Drill]:
    url = safe_postgres.tcp_url(fresh_schema()).replace("postgres@", "postgres:secret@", 1)
    with ExitStack() as stack:
        yield Drill(tmp_path, url, stack)


def shares(found: Any) -> list[int]:  # noqa: ANN401 - any JSON
    return [len(one["partitions"]) for one in found["hosts"] if one["isAlive"]]


def test_the_commands_are_those_of_the_page() -> None:
    text = " ".join(blocks("sh"))
    for command in (
        "tenuto start app.py\n",
        "tenuto start app.py --port 7072\n",
        "tenuto hosts\n",
        "tenuto instances start count --id count-$n --input 30;",
        "tenuto instances start greet --id greet-$n --input '\"you\"';",
        "tenuto instances show greet-1\n",
        "tenuto doctor\n",
        "tenuto instances show count-1\n",
    ):
        assert command in text, command


@pytest.mark.timeout(240)
def test_two_hosts_one_is_killed_and_both_are_upgraded(drill: Drill) -> None:
    first_app, greet = blocks("python")
    drill.write(first_app)
    first = drill.start()
    assert "took partitions 0 to 31; 32 of 32 are served here now" in first.err
    second = drill.start()
    drill.until(lambda found: shares(found) == [16, 16])
    first.until("another host is there: process ")
    first.until("to other hosts; 16 of 32 are served here now")
    second.until("other hosts are there: process ")

    for name in INSTANCES:
        drill.type("instances", "start", "count", "--id", name, "--input", "30")
    second.send(signal.SIGKILL)
    second.end()
    found = drill.until(lambda found: shares(found) == [32])
    assert [one["isAlive"] for one in found["hosts"]] == [True, False]
    first.until("a host has died: process ")
    first.until("32 of 32 are served here now")
    assert " gone for " in drill.type("hosts")
    said = drill.type("doctor")
    assert "1 host has died in the last 10 minutes" in said
    assert "nothing is wrong" in said
    assert "count-1" in drill.type("instances", "show", "count-1")

    second = drill.start()
    drill.until(lambda found: shares(found) == [16, 16])
    drill.write(first_app.replace('version="1"', 'version="2"') + "\n\n" + greet)
    first.send(signal.SIGTERM)
    assert first.end() == 0
    second.until("a host has left: process ")
    first = drill.start()
    drill.until(lambda found: sum(shares(found)) == 32)
    assert "2 (newest)" in drill.type("hosts")
    assert "an upgrade is under way" in drill.type("doctor")
    names = [f"greet-{number}" for number in range(8)]
    for name in names:
        drill.type("instances", "start", "greet", "--id", name, "--input", '"you"')
    second.send(signal.SIGTERM)
    assert second.end() == 0
    second = drill.start()
    for name in (*names, *INSTANCES):
        done = json.loads(drill.type("instances", "watch", name, "--json").splitlines()[-1])
        assert "Completed" in json.dumps(done), done
    for host in (first, second):
        assert "secret" not in host.out + host.err
        host.send(signal.SIGTERM)
        assert host.end() == 0
    assert not any(one["isAlive"] for one in drill.hosts()["hosts"])


def test_another_set_of_orchestrators_needs_another_version(drill: Drill) -> None:
    first_app, greet = blocks("python")
    drill.write(first_app)
    drill.start()
    drill.write(first_app + "\n\n" + greet)
    refused = tenuto(drill.folder, "start", "app.py", "--port", "0", env=drill.env)
    assert refused.returncode == 2
    assert "TN-1104" in refused.stderr
    assert "only the one that starts here knows 'greet'" in refused.stderr
