"""The trip booking, native and as Azure Functions apps: the same trips have the same answers."""

import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tenuto import RuntimeStatus
from tenuto.host.programs import Hosted
from tenuto.testing import TestHost
from tests.support.azure_programs import ROOT, azure_program, copied
from tests.support.json_requests import ask
from tests.support.served_apps import INTERPRETERS, ended, serving

EXAMPLES = ROOT / "examples"
AZURE = EXAMPLES / "azure"
AZURE_APPS = ("trip_booking_js", "trip_booking_python")
NATIVE = "trip_booking"

AUTUMN: list[dict[str, Any]] = json.loads((AZURE / "trips.json").read_text("utf-8"))
EASY = [{"name": "PyCon Vienna", "city": "Vienna", "hotels": ["Hotel Sacher"]}]
NO_ROOM = [{"name": "EuroPython Prague", "city": "Prague", "hotels": ["Hotel Opera"]}]

TICKET_VIENNA = ("ticket", "PyCon Vienna", 450, False)
TICKET_PRAGUE = ("ticket", "EuroPython Prague", 450, False)
FLIGHT_PRAGUE = ("flight", "flight to Prague", 220, False)
OPERA_CANCELED = ("hotel", "Hotel Opera", 390, True)

Books = list[tuple[str, str, int, bool]]


@pytest.fixture(params=[NATIVE, *AZURE_APPS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosted]:
    """One of the three apps, whose bookings are noted in the test's folder."""
    if name == NATIVE:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(EXAMPLES / NATIVE)
        monkeypatch.delitem(sys.modules, "travel", raising=False)  # another test's app
        travel = import_module("travel")
        # Its offices take a while to confirm, for those who watch it.
        monkeypatch.setattr(travel, "time", Hurried)
        yield travel.app
        return
    program = azure_program(copied(AZURE / name, tmp_path), None, LEDGER=str(tmp_path / "ledger"))
    yield program
    program.close()


class Hurried:
    """Time for offices that confirm at once."""

    @staticmethod
    def sleep(_seconds: float) -> None:
        """Not at all."""


def books(name: str, folder: Path) -> Books:
    """What the booking offices have noted."""
    if name == NATIVE:
        entries = import_module("ledger").entries(folder)
        found = [(one.kind, one.what, one.price, one.is_canceled) for one in entries]
    else:
        notes = [json.loads(one.read_text("utf-8")) for one in (folder / "ledger").glob("*.json")]
        found = [(one["kind"], one["what"], one["price"], one["canceled"]) for one in notes]
    return sorted(found)


def planned(name: str, trips: list[dict[str, Any]]) -> list[Any]:
    """The trips as values of the app's own types."""
    if name != NATIVE:
        return trips
    return [import_module("travel").Conference(**trip) for trip in trips]


def report(*lines: str, total: int) -> dict[str, Any]:
    return {"lines": list(lines), "total": total}


@pytest.mark.parametrize(
    ("trips", "expected", "noted"),
    [
        (
            EASY,
            report(
                "PyCon Vienna             450 €",
                "flight to Vienna         220 €",
                "Hotel Sacher             390 €",
                total=1060,
            ),
            [
                TICKET_VIENNA,
                ("flight", "flight to Vienna", 220, False),
                ("hotel", "Hotel Sacher", 390, False),
            ],
        ),
        (
            AUTUMN,
            report(
                "PyCon Lyon               450 €",
                "train to Lyon            140 €",
                "Hotel Lumière            390 €",
                "EuroPython Prague        450 €",
                "flight to Prague         220 €",
                "Hotel Karlov             390 €",
                total=2040,
            ),
            [
                ("ticket", "PyCon Lyon", 450, False),
                ("train", "train to Lyon", 140, False),
                ("hotel", "Hotel Lumière", 390, False),
                TICKET_PRAGUE,
                FLIGHT_PRAGUE,
                OPERA_CANCELED,
                ("hotel", "Hotel Karlov", 390, False),
            ],
        ),
        (NO_ROOM, None, [TICKET_PRAGUE, FLIGHT_PRAGUE, OPERA_CANCELED]),
    ],
    ids=["easy", "autumn", "no room"],
)
async def test_the_same_trips_have_the_same_answers(
    app: Hosted,
    name: str,
    tmp_path: Path,
    trips: list[dict[str, Any]],
    expected: dict[str, Any] | None,
    noted: Sequence[tuple[str, str, int, bool]],
) -> None:
    async with TestHost(app) as test:
        handle = await test.start("plan_travel", planned(name, trips))
        status = await test.client.wait(handle.instance_id)
        await test.idle()
        assert status.output == expected
        if expected is None:
            assert status.runtime_status is RuntimeStatus.FAILED
            assert "no room in any of Hotel Opera" in str(status.failure)
        assert books(name, tmp_path) == sorted(noted)
        assert not test.problems


@pytest.mark.parametrize("name", AZURE_APPS)
def test_over_http_they_answer_as_such_apps_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting, value in INTERPRETERS.items():
        monkeypatch.setenv(setting, value)
    with serving(copied(AZURE / name, tmp_path)) as (command, url):
        assert f"trips: [POST] {url}/api/trips" in command.out
        status, links = ask("POST", f"{url}/api/trips", AUTUMN)
        assert status == 202
        assert ended(links["statusQueryGetUri"])["output"]["total"] == 2040
        status, links = ask("POST", f"{url}/api/trips", NO_ROOM)
        assert status == 202
        assert ended(links["statusQueryGetUri"])["runtimeStatus"] == "Failed"
        # The setting in local.settings.json is relative to the app.
        assert ("hotel", "Hotel Karlov", 390, False) in books(name, tmp_path / name)
        for wrong in ([], {"name": "PyCon Lyon"}, [{"name": "PyCon Lyon"}]):
            status, answer = ask("POST", f"{url}/api/trips", wrong)
            assert (status, answer["error"][:34]) == (400, "the body must be a list of confere")
