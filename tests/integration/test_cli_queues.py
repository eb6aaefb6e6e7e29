"""``tenuto queues`` on a store and on a host that answers HTTP; routes, figures, the doctor."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto.cli.command import run_command_line
from tests.support.terminal import Command

APP = """
from datetime import timedelta

from tenuto import App, RetryPolicy

app = App()


@app.queue("numbers", retry=RetryPolicy(max_attempts=1))
async def note(number: int) -> None:
    if number < 0:
        raise ValueError(f"{number} is negative")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("queues")
    (folder / "numbers_app.py").write_text(APP)
    with Command(folder, "start", "numbers_app.py", "--port", "0") as command:
        command.until("listening")
        found = re.search(r"http://127\.0\.0\.1:\d+(?= )", command.out.partition("listening")[2])
        assert found
        yield folder, found[0]
        command.send(signal.SIGTERM)
        assert command.end() in {0, 128 + signal.SIGTERM}


@pytest.fixture(params=["store", "host"])
def place(
    request: pytest.FixtureRequest, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(served[0])
    return [] if request.param == "store" else ["--url", served[1]]


class Queues:
    """Runs commands, here, at one place."""

    def __init__(self, place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        self._place = place
        self._capsys = capsys

    def run(self, *arguments: str, code: int = 0, options: list[str] | None = None) -> str:
        words = [*(self._place if options is None else options), "--", *arguments[1:]]
        found = run_command_line(["queues", arguments[0], *words])
        captured = self._capsys.readouterr()
        assert found == code, captured.err
        return captured.err if code else captured.out

    def json(self, *arguments: str, options: list[str] | None = None) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.run(*arguments, options=[*self._place, "--json", *(options or [])]))

    def standing(self, name: str) -> dict[str, Any] | None:
        found = [one for one in self.json("list") if one["name"] == name]
        return found[0] if found else None

    def with_options(self, *options: str) -> list[str]:
        return [*self._place, *options]


@pytest.fixture
def queues(place: list[str], capsys: pytest.CaptureFixture[str]) -> Queues:
    return Queues(place, capsys)


@pytest.fixture
def here(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Queues:
    """Those of the store."""
    monkeypatch.chdir(served[0])
    return Queues([], capsys)


def until_failed(queues: Queues, count: int) -> None:
    last = time.monotonic() + 30
    while True:
        found = queues.standing("numbers")
        if found is not None and found["failed"] == count:
            return
        assert time.monotonic() < last, found


def test_messages_are_sent_looked_at_and_purged(queues: Queues) -> None:
    options = queues.with_options("--delay", "1h", "--id", "m-1")
    assert queues.run("send", "others", '{"n": 1}', options=options) == "m-1\n"
    queues.run("send", "others", '"two"')
    listed = queues.run("list")
    assert re.search(r"^others +1 +1 +0 +0 +\S", listed, re.MULTILINE), listed
    found = queues.standing("others")
    assert found is not None
    assert (found["ready"], found["delayed"], found["inWork"], found["failed"]) == (1, 1, 0, 0)
    assert found["oldestReadyTime"].endswith("Z")
    two, one = queues.json("peek", "others")
    assert (two["data"], one["data"], one["id"], one["attempts"]) == ("two", {"n": 1}, "m-1", 0)
    assert "ready at" in queues.run("peek", "others")
    assert queues.run("purge", "others", "m-1", "nobody") == "purged 1 message\n"
    assert queues.json("purge", "others", options=["--all", "--yes"]) == {"purged": 1}
    assert queues.standing("others") is None
    for command in ("peek", "failed"):
        assert queues.run(command, "others") == ""


def test_what_was_put_aside_is_shown_given_back_and_deleted(queues: Queues) -> None:
    for number in (-1, -2):
        queues.run("send", "numbers", str(number))
    until_failed(queues, 2)
    first, second = queues.json("failed", "numbers")
    assert (first["content"], first["function"], first["attempts"]) == (-1, "note", 1)
    assert first["error"] == "ValueError: -1 is negative"
    shown = queues.run("failed")
    assert "queue numbers, for note" in shown
    assert "ValueError: -2 is negative" in shown
    by_id = queues.with_options("--id", first["id"])
    assert queues.run("redrive", "numbers", options=by_id) == "gave back 1 delivery\n"
    until_failed(queues, 2)
    assert queues.json("redrive", "numbers", options=["--all"]) == {"redriven": 2, "left": []}
    until_failed(queues, 2)
    numbers = [one["number"] for one in queues.json("failed", "numbers")]
    assert min(numbers) > second["number"]
    assert queues.run("drop", "numbers", str(numbers[0])) == "deleted 1 delivery\n"
    refused = queues.run("drop", "numbers", str(numbers[0]), code=2)
    assert "there is no failed delivery" in refused
    assert queues.json("drop", "numbers", options=["--all", "--yes"]) == {"dropped": 1}
    assert queues.standing("numbers") is None


def test_a_number_is_never_taken_for_an_id_nor_one_id_for_several(queues: Queues) -> None:
    def send(message_id: str) -> None:
        queues.run("send", "numbers", "-1", options=queues.with_options("--id", message_id))

    send("order-7")
    until_failed(queues, 1)
    first = queues.json("failed", "numbers")[0]["number"]
    for count, message_id in ((2, str(first)), (3, "order-7")):
        send(message_id)
        until_failed(queues, count)
    for verb in ("drop", "redrive"):
        refused = queues.run(verb, "numbers", "order-7", code=2)
        assert "is not the number of a delivery" in refused
        assert "--id" in refused
        twice = queues.with_options("--id", "order-7")
        refused = queues.run(verb, "numbers", code=2, options=twice)
        assert "is that of 2 failed deliveries of queue 'numbers'; nothing was done" in refused
        missing = queues.with_options("--id", "order-8")
        refused = queues.run(verb, "numbers", "999999", code=2, options=missing)
        assert "there is no failed delivery 999999, --id 'order-8' of queue" in refused
    assert queues.run("drop", "numbers", str(first)) == "deleted 1 delivery\n"
    left = [one["id"] for one in queues.json("failed", "numbers")]
    assert left == [str(first), "order-7"]
    by_id = queues.with_options("--id", str(first))
    assert queues.run("drop", "numbers", options=by_id) == "deleted 1 delivery\n"
    queues.run("drop", "numbers", options=queues.with_options("--all", "--yes"))


def test_what_is_in_its_queue_again_stays_put_aside_and_is_told(queues: Queues) -> None:
    """Promise no_silent_drop."""
    by_id = queues.with_options("--id", "order-7")
    for count in (1, 2):
        queues.run("send", "numbers", "-1", options=by_id)
        until_failed(queues, count)
    queues.run("send", "numbers", "1", options=[*by_id, "--delay", "1h"])
    first, second = [one["number"] for one in queues.json("failed", "numbers")]
    everything = queues.with_options("--all")
    refused = queues.run("redrive", "numbers", code=1, options=everything)
    assert (
        "2 deliveries stay put aside, because a message of the same id is in the queue" in refused
    )
    assert f"{first} ('order-7'), {second} ('order-7')" in refused
    assert len(queues.json("failed", "numbers")) == 2
    assert queues.run("purge", "numbers", "order-7") == "purged 1 message\n"
    refused = queues.run("redrive", "numbers", code=1, options=everything)
    assert "1 delivery stays put aside" in refused
    assert f"{second} ('order-7')" in refused
    until_failed(queues, 2)
    queues.run("drop", "numbers", options=queues.with_options("--all", "--yes"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("send", "a/b", "1"), "the name of a queue"),
        (("send", "a", "no json"), "not JSON"),
        (("redrive", "numbers"), "give --all"),
        (("drop", "numbers"), "give --all"),
        (("purge", "numbers"), "give --all"),
        (("redrive", "numbers", "99999"), "nothing was done"),
    ],
)
def test_bad_input_is_refused_whole(here: Queues, arguments: tuple[str, ...], words: str) -> None:
    assert words in here.run(*arguments, code=2)


@pytest.mark.parametrize("verb", ["redrive", "drop", "purge"])
def test_of_a_queue_that_is_not_known_nothing_is_given_back(queues: Queues, verb: str) -> None:
    options = queues.with_options("--delay", "1h")
    queues.run("send", "others", "1", options=options)
    options = queues.with_options("--all", *(["--yes"] if verb != "redrive" else []))
    told = queues.run(verb, "other", code=2, options=options)
    assert "queue 'other' has no messages, and none that were put aside; such queues are" in told
    assert "'others'" in told
    if verb != "purge":
        assert queues.run(verb, "others", options=options).endswith(" 0 deliveries\n")
    queues.run("purge", "others", options=queues.with_options("--all", "--yes"))


def test_what_would_be_deleted_is_asked_for(here: Queues) -> None:
    for verb in ("drop", "purge"):
        refused = here.run(verb, "numbers", code=2, options=["--all"])
        assert "give --yes" in refused


def test_the_doctor_and_figures_tell_of_queues(
    here: Queues, served: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    here.run("send", "numbers", "-1")
    until_failed(here, 1)
    assert run_command_line(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "queue numbers: 1 message put aside after the last attempt" in told
    assert "tenuto queues failed numbers" in told
    metrics = httpx2.get(f"{served[1]}/metrics").text
    assert 'tenuto_queue_messages{queue="numbers",state="failed"} 1.0' in metrics
    assert 'tenuto_queue_oldest_seconds{queue="numbers"} 0.0' in metrics
    here.run("drop", "numbers", options=["--all", "--yes"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/queues/a%2Fb/messages", None),
        ("GET", "/queues/a/messages?limit=0", None),
        ("GET", "/queues/a/messages?limit=x", None),
        ("GET", "/failed-deliveries?source=mail", None),
        ("GET", "/failed-deliveries?after=-1", None),
        ("POST", "/publish", {"messages": [{"queue": "a", "delaySeconds": 1e300}]}),
        ("POST", "/publish", {"messages": [{"queue": "a", "delaySeconds": -1}]}),
        ("POST", "/queues/a/drop", None),
        ("POST", "/queues/a/drop", {}),
        ("POST", "/failed-deliveries/redrive", {"numbers": ["x"]}),
        ("POST", "/failed-deliveries/drop", {"numbers": [1], "all": True}),
    ],
)
def test_bad_requests_are_refused_whole(
    served: tuple[Path, str], method: str, path: str, body: object
) -> None:
    answer = httpx2.request(method, f"{served[1]}/admin{path}", json=body)
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["code"].startswith("TN-")
