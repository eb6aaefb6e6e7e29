"""``tenuto serve-on-demand`` of an Azure Functions app: its workers go with it, and come back."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.azure_programs import LANGUAGES
from tests.support.json_requests import ask
from tests.support.leftovers import is_running
from tests.support.served_apps import ended, served_folder
from tests.support.terminal import Command

if sys.platform != "linux":
    pytest.skip("looks at processes as Linux shows them", allow_module_level=True)


def children_of(pid: int) -> list[int]:
    """The processes below one, down to the last."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = [int(one) for one in text.split()]
    return [*found, *(below for one in found for below in children_of(one))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_workers_are_gone_while_it_sleeps_and_a_call_brings_them_back(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """waiting_costs_nothing"""
    folder = served_folder(language, tmp_path, monkeypatch)
    (folder / "tenuto.toml").write_text("[on_demand]\nidle_seconds = 0.3\n")
    workers: list[int] = []
    with Command(folder, "serve-on-demand", ".", "--port", "0") as command:
        for number in (1, 2):
            last = time.monotonic() + 20
            while command.err.count("asleep; wakes for requests") < number:
                assert time.monotonic() < last, command.out + command.err
                time.sleep(0.01)
            assert children_of(command.process.pid) == []
            url = re.findall(r"requests on ([^\s,\"]+)", command.err)[-1]
            status, links = ask("POST", f"{url}/api/orchestrators/hello")
            assert status == 202
            assert ended(links["statusQueryGetUri"])["output"][0] == "Hello Tokyo!"
            workers = children_of(command.process.pid)[1:]
            assert workers
        command.send(signal.SIGTERM)
        assert command.end() == 0
        assert not any(map(is_running, workers))
