"""Fan-out with a bound, retries, and a report of who could not be reached."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

import pytest

from examples.mass_mail import mass_mail
from examples.mass_mail.mass_mail import Newsletter, send_newsletter
from tenuto import OrchestrationFailedError, Settings
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

LIST = str(Path(mass_mail.__file__).with_name("recipients.txt"))
ADDRESSES = Path(LIST).read_text("utf-8").split()


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(mass_mail.app)


def write_list(addresses: list[str]) -> Newsletter:
    Path("list.txt").write_text("\n".join(addresses), encoding="utf-8")
    return Newsletter("Spring", "list.txt")


def sent(folder: Path) -> Counter[str]:
    return Counter(file.read_text("utf-8").splitlines()[0] for file in (folder / "sent").iterdir())


async def test_everybody_who_can_be_reached_gets_one_letter_and_the_report_names_the_others(
    test: TestHost, folder: Path
) -> None:
    report = await test.run(send_newsletter, Newsletter("Spring", LIST))

    addresses = set(ADDRESSES)
    assert report.sent == len(addresses) - 2
    assert [(one.address, one.reason.partition(": ")[2]) for one in report.unreachable] == [
        ("charles@gone.example", "no such address: charles@gone.example"),
        ("blaise@down.example", "down.example takes no mail just now"),
    ]
    lost = {one.address for one in report.unreachable}
    assert sent(folder) == Counter(f"To: {address}" for address in addresses - lost)
    # The pauses between four attempts, and no others.
    assert test.clock.current_time - datetime(2026, 1, 1, tzinfo=UTC) - timedelta(
        seconds=1 + 2 + 4
    ) < timedelta(seconds=0.1)


async def test_nobody_is_asked_more_often_than_makes_sense(
    test: TestHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    deliver = mass_mail.deliver

    def noting(address: str, attempt: int) -> None:
        asked.append(address)
        deliver(address, attempt)

    monkeypatch.setattr(mass_mail, "deliver", noting)
    addresses = ["a@post.example", "b@busy.example", "c@down.example", "d@gone.example"]
    await test.run(send_newsletter, write_list(addresses))
    assert [asked.count(address) for address in addresses] == [1, 3, 4, 1]


async def test_at_most_ten_letters_are_under_way_at_the_same_time(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = await open_host(mass_mail.app, settings=Settings(activity_threads=30))
    lock, busy, most = Lock(), 0, 0

    def counting(address: str, attempt: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1

    monkeypatch.setattr(mass_mail, "deliver", counting)
    addresses = [f"{number}@post.example" for number in range(60)]
    report = await test.run(send_newsletter, write_list(addresses))
    assert report.sent == 60
    assert 2 <= most <= 10


async def test_a_power_cut_between_attempts_sends_nothing_twice(
    test: TestHost, folder: Path
) -> None:
    handle = await test.start(send_newsletter, Newsletter("Spring", LIST))
    await test.advance(timedelta(seconds=2))  # the busy ones have refused once or twice
    before = sent(folder)
    await test.crash()
    report = await handle.result()
    assert 0 < before.total() < report.sent
    assert sent(folder).total() == report.sent
    assert set(sent(folder).values()) == {1}


async def test_a_list_that_does_not_exist_ends_the_run_with_its_name(test: TestHost) -> None:
    with pytest.raises(OrchestrationFailedError, match=r"FileNotFoundError.*nobody\.txt"):
        await test.run(send_newsletter, Newsletter("Spring", "nobody.txt"))


async def test_a_letter_whose_sending_nobody_could_note_is_kept_once(
    test: TestHost, folder: Path, answers_that_get_lost: set[str]
) -> None:
    (folder / "list.txt").write_bytes(b"a@post.example\nb@post.example\n")
    report = await test.run(send_newsletter, Newsletter("Spring", "list.txt"))
    assert report.sent == len(answers_that_get_lost) == 2
    assert sent(folder) == Counter(["To: a@post.example", "To: b@post.example"])
