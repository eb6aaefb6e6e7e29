"""Where a store is: a URL of PostgreSQL, taken apart."""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from tenuto.model.errors import SettingsError
from tenuto.model.shown_urls import shown_url

SCHEMES: Final = frozenset({"postgres", "postgresql"})
_SCHEMA: Final = "schema"
_TARGET: Final = "target_session_attrs"
_USUAL_SCHEMA: Final = "tenuto"
_USUAL_PORT: Final = "5432"
_MOST_SCHEMA: Final = 63
_FORM: Final = (
    "write postgresql://USER:PASSWORD@HOST/DATABASE, with ?schema=NAME for another hub in it"
)
PARAMETERS: Final = (
    *(_SCHEMA, _TARGET, "host", "port", "user", "password", "dbname", "passfile", "sslmode"),
    *("sslrootcert", "sslcert", "sslkey", "sslcrl", "application_name", "search_path"),
)
"""What people ask for behind the ``?``; the server knows more."""

ESCAPED: Final = "@ is written %40, / %2F, ? %3F and # %23"


class Address(Struct, frozen=True):
    """One task hub of a database.

    Attributes:
        url: As people are shown it: without the password.
        dsn: For the driver.
        schema: The PostgreSQL schema that holds the hub.
        direct_dsn: For what a pooler does not pass on; empty for the same as all else.
    """

    url: str
    dsn: str
    schema: str
    direct_dsn: str = ""

    @property
    def places(self) -> str:
        """The machines that it names, for people: ``db.example:5432``, or a socket's folder."""
        parts = urlsplit(self.dsn)
        asked = dict(parse_qsl(parts.query))
        port = asked.get("port", _USUAL_PORT)
        named = [place for place in _places(parts.netloc) if place]
        found = named or asked.get("host", "localhost").split(",")
        return ", ".join(place if _has_port(place) else f"{place}:{port}" for place in found)

    @property
    def asked(self) -> list[str]:
        """The names of what stands behind its ``?`` for the driver or the server."""
        return [name for name, _ in parse_qsl(urlsplit(self.dsn).query, keep_blank_values=True)]

    @property
    def directly(self) -> "Address":
        """The same without a pooler between, where that is known."""
        return replace(self, dsn=self.direct_dsn) if self.direct_dsn else self

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def address_of(url: str, direct: str | None = None) -> Address:
    """A URL taken apart: ``postgresql://user:password@host:5432/database?schema=hub``.

    What else is asked for after ``?`` goes to the driver, such as ``sslmode`` and ``host`` of a
    folder with a socket. Of several hosts (``a:5432,b:5432``) the one is taken that can be written
    to, unless ``target_session_attrs`` says something else.

    Args:
        url: Of the store.
        direct: Where notifications and leases go, when ``url`` leads to a pooler.

    Raises:
        SettingsError: one of them is none, or they name different hubs.
    """
    address = _taken_apart(url)
    if direct is None:
        return address
    try:
        straight = _taken_apart(direct)
    except SettingsError as error:
        text = str(error).replace("the store's URL", "the setting storage_direct", 1)
        raise SettingsError(text) from None
    if _names_schema(direct) and straight.schema != address.schema:
        raise SettingsError(
            f"the store's URL names the schema {address.schema!r}, and storage_direct "
            f"{straight.schema!r}; they lead to one hub, so leave it out of storage_direct"
        )
    return replace(address, direct_dsn=straight.dsn)


def _taken_apart(url: str) -> Address:
    try:
        parts = urlsplit(url)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        ports = [urlsplit(f"//{place}").port for place in _places(parts.netloc)]
    except ValueError:  # whose words show a part of the password
        raise _unescaped(url) from None
    if "@" in parts.path or parts.netloc.count("@") > 1:
        raise _unescaped(url)
    shown = shown_url(url)
    names = dict(asked)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise SettingsError(f"the store's URL {shown!r} is not understood; {_FORM}")
    if not parts.path.strip("/") and "dbname" not in names and "database" not in names:
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
    rest = [(name, value) for name, value in asked if name != _SCHEMA]
    if (len(ports) > 1 or "," in names.get("host", "")) and _TARGET not in names:
        rest.append((_TARGET, "read-write"))
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(rest), ""))
    return Address(shown, dsn, schema)


def _unescaped(url: str) -> SettingsError:
    return SettingsError(
        f"the store's URL {shown_url(url)!r} is not understood; {_FORM}. In a password {ESCAPED}"
    )


def _places(netloc: str) -> list[str]:
    """Each host with its port."""
    return netloc.rpartition("@")[2].split(",")


def _has_port(place: str) -> bool:
    return place.startswith("/") or place.rpartition(":")[2].isdecimal()


def _names_schema(url: str) -> bool:
    return _SCHEMA in dict(parse_qsl(urlsplit(url).query))
