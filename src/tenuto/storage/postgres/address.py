"""Where a store is: a URL of PostgreSQL, taken apart."""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from tenuto.model.errors import SettingsError

SCHEMES: Final = frozenset({"postgres", "postgresql"})
_SCHEMA: Final = "schema"
_HIDDEN: Final = "hidden"
_USUAL_SCHEMA: Final = "tenuto"
_MOST_SCHEMA: Final = 63
_FORM: Final = (
    "write postgresql://USER:PASSWORD@HOST/DATABASE, with ?schema=NAME for another hub in it"
)


class Address(Struct, frozen=True):
    """One task hub of a database.

    Attributes:
        url: As people are shown it: without the password.
        dsn: For the driver.
        schema: The PostgreSQL schema that holds the hub.
    """

    url: str
    dsn: str
    schema: str

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def address_of(url: str) -> Address:
    """A URL taken apart: ``postgresql://user:password@host:5432/database?schema=hub``.

    What else is asked for after ``?`` goes to the driver, such as ``sslmode`` and ``host`` of a
    folder with a socket.

    Raises:
        SettingsError: it is none.
    """
    try:
        parts = urlsplit(url)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        host = parts.hostname
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"the store's URL is not understood ({error}); {_FORM}") from None
    shown = _without_password(url)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise SettingsError(f"the store's URL {shown!r} is not understood; {_FORM}")
    if not parts.path.strip("/") and "dbname" not in dict(asked) and "database" not in dict(asked):
        raise SettingsError(f"the store's URL {shown!r} names no database; {_FORM}")
    schemas = [value for name, value in asked if name == _SCHEMA]
    schema = schemas[0] if schemas else _USUAL_SCHEMA
    if (
        len(schemas) > 1
        or not 0 < len(schema.encode(errors="replace")) <= _MOST_SCHEMA
        or (schema.startswith("pg_") or not schema.isprintable())
    ):
        raise SettingsError(
            f"the store's URL {shown!r} names the schema {schema!r}; one name of 1 to "
            f"{_MOST_SCHEMA} bytes is needed, and none that begins with pg_"
        )
    assert host is None or port is None or port >= 0
    rest = urlencode([(name, value) for name, value in asked if name != _SCHEMA])
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
    return Address(shown, dsn, schema)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    account, at, place = parts.netloc.rpartition("@")
    user = account.partition(":")[0]
    asked = [
        (name, _HIDDEN if "password" in name.lower() else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return urlunsplit((parts.scheme, f"{user}{at}{place}", parts.path, urlencode(asked), ""))
