"""Approval by links: who answers decides, who does not is passed over, and links work once."""

import json
import re
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from examples.approval import approval
from examples.approval.approval import Decision, Expense, approve_expense
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.http_in_process import BASE, http_to

TRAIN = {"employee": "ada", "purpose": "a train", "amount": 120}


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(approval.app)


def mail_to(folder: Path, person: str) -> str:
    (letter,) = (folder / "outbox").glob(f"{person}-*")
    return letter.read_text("utf-8")


def link_in(letter: str) -> str:
    (link,) = re.findall(r"^Please decide: (\S+)$", letter, re.MULTILINE)
    return str(link)


async def hand_in(test: TestHost, http: httpx2.AsyncClient) -> str:
    answer = await http.post("/api/expenses", json=TRAIN)
    assert answer.status_code == 202
    assert answer.headers["location"].startswith(BASE)
    await test.idle()
    return str(answer.json()["id"])


@pytest.mark.parametrize("approved", [True, False])
async def test_the_manager_decides_on_a_page(
    test: TestHost, folder: Path, *, approved: bool
) -> None:
    async with http_to(test, approval.app) as http:
        instance = await hand_in(test, http)
        link = link_in(mail_to(folder, "manager"))
        page = await http.get(link, headers={"accept": "text/html"})
        assert "Approve 120 € for a train?" in page.text
        sent = {"approved": str(approved).lower(), "reason": "so be it"}
        assert (await http.post(link, data=sent)).status_code == 202
        handle = test.client.handle_of(instance, approve_expense)
        assert await handle.result() == Decision(approved, "manager", "so be it")
        assert ("approved" if approved else "turned down") in mail_to(folder, "ada")
        assert (await http.post(link, json={"approved": True})).status_code == 409


async def test_after_three_days_the_director_is_asked_and_the_manager_has_no_say_any_more(
    test: TestHost, folder: Path
) -> None:
    async with http_to(test, approval.app) as http:
        instance = await hand_in(test, http)
        await test.advance(timedelta(days=3, seconds=1))
        yes = {"approved": True}
        late = await http.post(link_in(mail_to(folder, "manager")), json=yes)
        assert late.status_code == 410
        good = await http.post(link_in(mail_to(folder, "director")), json=yes)
        assert good.status_code == 202
        handle = test.client.handle_of(instance, approve_expense)
        assert await handle.result() == Decision(approved=True, by="director")


async def test_when_nobody_answers_the_expense_is_turned_down_after_six_days(
    test: TestHost, folder: Path
) -> None:
    async with http_to(test, approval.app):
        began = test.clock.current_time
        decision = await test.run(approve_expense, Expense("bob", "a yacht", 90_000))
        assert decision == Decision(approved=False, by="nobody answered")
        assert timedelta(days=6) <= test.clock.current_time - began < timedelta(days=6, minutes=1)
        assert "turned down (nobody answered)" in mail_to(folder, "bob")


async def test_links_survive_a_power_cut(test: TestHost, folder: Path) -> None:
    async with http_to(test, approval.app) as http:
        instance = await hand_in(test, http)
        await test.crash()
    async with http_to(test, approval.app) as http:
        link = link_in(mail_to(folder, "manager"))
        assert (await http.post(link, json={"approved": True})).status_code == 202
        handle = test.client.handle_of(instance, approve_expense)
        assert await handle.result() == Decision(approved=True, by="manager")


def test_the_page_shows_the_letter_as_it_is() -> None:
    page = Path(approval.__file__).with_name("README.md").read_text("utf-8")
    shown = re.findall(r"--json '(\{.*?\})' http", page)
    assert [Expense(**json.loads(one)).employee for one in shown] == ["ada", "bob"]
    assert "ada asks for 120 € for a train to Lyon." in page
