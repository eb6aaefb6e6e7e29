"""The time zone of an app's schedules, by names of Windows and of the IANA database."""

from zoneinfo import ZoneInfo

import pytest

from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_app.folder.time_zones import TIME_ZONE, WINDOWS_ZONES, zone_of
from tenuto.model.errors import AppLoadError


def zone(name: str) -> str | None:
    return zone_of(AppSettings({TIME_ZONE: name}, {}))


def test_there_need_be_none() -> None:
    assert zone_of(AppSettings({}, {})) is None
    assert zone("") is None


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" W. Europe Standard Time ", "Europe/Berlin"),
        ("eastern standard time", "America/New_York"),
        ("UTC", "UTC"),
    ],
)
def test_both_kinds_of_names_are_known(given: str, found: str) -> None:
    assert zone(given) == found


@pytest.mark.parametrize("name", WINDOWS_ZONES.values())
def test_each_name_of_windows_leads_to_a_zone_that_is_there(name: str) -> None:
    assert ZoneInfo(name).key == name


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("West Europe Standard Time", ": did you mean Europe/Berlin? "),
        ("Europe/Berlln", ": did you mean Europe/Berlin? "),
        ("../../etc/passwd", ". Use a name of"),
        ("Password=hunter2", ". Use a name of"),
    ],
)
def test_another_is_refused_with_one_that_is_close_and_is_not_shown(given: str, hint: str) -> None:
    with pytest.raises(AppLoadError) as refused:
        zone(given)
    assert str(refused.value).startswith(f"setting {TIME_ZONE} names no time zone")
    assert hint in str(refused.value)
    assert given not in str(refused.value)
