"""``WEBSITE_TIME_ZONE``: the zone of an app's schedules, by either of its two kinds of names.

Azure wants names of Windows where apps run on Windows (``W. Europe Standard Time``), and names of
the IANA database elsewhere (``Europe/Berlin``). The same app may come from both.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.model.errors import AppLoadError

TIME_ZONE: Final = "WEBSITE_TIME_ZONE"
WINDOWS_ZONES: Final[Mapping[str, str]] = {
    "AUS Central Standard Time": "Australia/Darwin",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "Alaskan Standard Time": "America/Anchorage",
    "Arab Standard Time": "Asia/Riyadh",
    "Arabian Standard Time": "Asia/Dubai",
    "Argentina Standard Time": "America/Argentina/Buenos_Aires",
    "Atlantic Standard Time": "America/Halifax",
    "Bangladesh Standard Time": "Asia/Dhaka",
    "Canada Central Standard Time": "America/Regina",
    "Cen. Australia Standard Time": "Australia/Adelaide",
    "Central America Standard Time": "America/Guatemala",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "Central Standard Time": "America/Chicago",
    "Central Standard Time (Mexico)": "America/Mexico_City",
    "China Standard Time": "Asia/Shanghai",
    "E. Africa Standard Time": "Africa/Nairobi",
    "E. Australia Standard Time": "Australia/Brisbane",
    "E. Europe Standard Time": "Europe/Chisinau",
    "E. South America Standard Time": "America/Sao_Paulo",
    "Eastern Standard Time": "America/New_York",
    "Egypt Standard Time": "Africa/Cairo",
    "FLE Standard Time": "Europe/Kyiv",
    "GMT Standard Time": "Europe/London",
    "GTB Standard Time": "Europe/Bucharest",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "Hawaiian Standard Time": "Pacific/Honolulu",
    "India Standard Time": "Asia/Kolkata",
    "Iran Standard Time": "Asia/Tehran",
    "Israel Standard Time": "Asia/Jerusalem",
    "Korea Standard Time": "Asia/Seoul",
    "Morocco Standard Time": "Africa/Casablanca",
    "Mountain Standard Time": "America/Denver",
    "Nepal Standard Time": "Asia/Kathmandu",
    "New Zealand Standard Time": "Pacific/Auckland",
    "Newfoundland Standard Time": "America/St_Johns",
    "Pacific SA Standard Time": "America/Santiago",
    "Pacific Standard Time": "America/Los_Angeles",
    "Pakistan Standard Time": "Asia/Karachi",
    "Romance Standard Time": "Europe/Paris",
    "Russian Standard Time": "Europe/Moscow",
    "SA Eastern Standard Time": "America/Cayenne",
    "SA Pacific Standard Time": "America/Bogota",
    "SA Western Standard Time": "America/La_Paz",
    "SE Asia Standard Time": "Asia/Bangkok",
    "Singapore Standard Time": "Asia/Singapore",
    "South Africa Standard Time": "Africa/Johannesburg",
    "Sri Lanka Standard Time": "Asia/Colombo",
    "Taipei Standard Time": "Asia/Taipei",
    "Tasmania Standard Time": "Australia/Hobart",
    "Tokyo Standard Time": "Asia/Tokyo",
    "Turkey Standard Time": "Europe/Istanbul",
    "US Eastern Standard Time": "America/Indiana/Indianapolis",
    "US Mountain Standard Time": "America/Phoenix",
    "UTC": "UTC",
    "Venezuela Standard Time": "America/Caracas",
    "W. Australia Standard Time": "Australia/Perth",
    "W. Central Africa Standard Time": "Africa/Lagos",
    "W. Europe Standard Time": "Europe/Berlin",
    "West Asia Standard Time": "Asia/Tashkent",
}
"""The common names of Windows, as the Unicode CLDR maps them."""

_BY_NAME: Final = {name.casefold(): zone for name, zone in WINDOWS_ZONES.items()}


def zone_of(settings: AppSettings) -> str | None:
    """The time zone of an app's schedules, as the IANA database names it; None for UTC.

    Raises:
        AppLoadError: the setting names none that is known here.

    Example:
        ``zone_of(AppSettings({"WEBSITE_TIME_ZONE": "W. Europe Standard Time"}, {}))``
    """
    given = settings.get(TIME_ZONE)
    if given is None:
        return None
    name = _BY_NAME.get(given.strip().casefold(), given.strip())
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise AppLoadError(_unknown(given)) from None
    return name


def _unknown(given: str) -> str:
    close = get_close_matches(given, [*WINDOWS_ZONES, *available_timezones()], n=1)
    # What is close to a name of a zone is no secret; anything else may be one in the wrong place.
    meant = f": did you mean {_BY_NAME.get(close[0].casefold(), close[0])}?" if close else ""
    return (
        f"setting {TIME_ZONE} names no time zone that is known here{meant or '.'} Use a name of "
        "the IANA database, such as Europe/Berlin or America/New_York"
    )
