"""Points in time whose zone has a name: written as RFC 9557 has them, so that the zone is kept.

``2026-10-25T02:30:00+01:00[Europe/Berlin]``: the offset says which of two equal clock readings is
meant (``fold``), the name says how the clock goes on from there. Owns that notation alone; all
other points in time are msgspec's. Reads the time zone database, through ``zoneinfo``, and no other
file.
"""

import re
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from tenuto.model.cuts import cut
from tenuto.model.errors import PayloadError

_ZONED: Final = re.compile(r"([^\[\]]+)\[([A-Za-z0-9_+./-]+)\]")


def zone_of(zone: tzinfo | None) -> str | None:
    """The name of a zone that has one in the database; None for offsets and for no zone."""
    return zone.key if isinstance(zone, ZoneInfo) else None


def zoned_text(moment: datetime, zone: str) -> str:
    """An aware point in time with its zone's name."""
    return f"{datetime.isoformat(moment)}[{zone}]"


def mentions_zone(text: str | bytes) -> bool:
    """Whether JSON text may hold such a point in time; cheap, and true too often."""
    return ']"' in text if isinstance(text, str) else b']"' in text


def zoned_moment(text: str, path: str) -> datetime | None:
    """Read one; None for text of another form.

    Where the zone's rules have changed since it was written, the instant is kept.

    Errors:
        PayloadError: When there is no such zone, or no such point in time.
    """
    found = _ZONED.fullmatch(text)
    if found is None:
        return None
    try:
        instant, zone = datetime.fromisoformat(found[1]), ZoneInfo(found[2])
        offset = instant.utcoffset()
        if offset is None:
            raise PayloadError("does not fit: a zone needs an offset before it", path=path)
        for fold in (0, 1):
            moment = instant.replace(tzinfo=zone, fold=fold)
            if moment.utcoffset() == offset:
                return moment
        return instant.astimezone(zone)
    except (ValueError, OverflowError, KeyError, OSError) as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError(
            f"does not fit: {cut(repr(text), 80, '')} is no point in time", path=path
        ) from error
