"""How a client reaches a server: address, key and patience, checked where they enter. Pure."""

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from tenuto.model.errors import InputError, SettingsError
from tenuto.model.shown_urls import shown_url

_SCHEMES: Final = frozenset({"http", "https"})
_LEAST_CONNECTIONS: Final = 2
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ConnectionOptions(Struct, frozen=True, kw_only=True):
    """How patient a client over HTTP is, and how many connections it keeps.

    Attributes:
        request_timeout: How long the server may take for an answer.
        retry_for: For how long a request that cannot do harm twice is sent again when the server
            cannot be reached: starts, questions, and whatever was not sent yet. Waiting for the
            end of an instance goes on for as long as its caller waits.
        connections: Connections at the same time at most, from 2; half of them for waiting.
        certificates: File of certificates to trust for https, in PEM; those of the system by
            default.

    Raises:
        InputError: for a value that is not allowed.

    Example:
        ``Client(url, key=key, connection=ConnectionOptions(retry_for=timedelta(minutes=1)))``
    """

    request_timeout: timedelta = timedelta(seconds=30)
    retry_for: timedelta = timedelta(seconds=3)
    connections: int = 100
    certificates: str | None = None

    def __post_init__(self) -> None:
        for name in ("request_timeout", "retry_for"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or value < timedelta(0):
                raise InputError(f"{name} must be a timedelta from 0, got {value!r}")
        count: object = self.connections
        if not isinstance(count, int) or count < _LEAST_CONNECTIONS:
            raise InputError(f"connections must be an int from {_LEAST_CONNECTIONS}, got {count!r}")


def checked_url(url: str) -> str:
    """The address of a server, without a slash at its end.

    Raises:
        SettingsError: it is none, with what was probably meant.
    """
    scheme = url.partition(":")[0]
    if scheme in {"sqlite", "postgresql", "postgres"}:
        raise SettingsError(
            f"{_shown(url)} is a store, not a server; use Client.open for a store, or the URL of a "
            "server such as http://127.0.0.1:7071"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_url(url, str(error)) from None
    if parts.scheme.lower() not in _SCHEMES:
        raise _no_url(url, "it must begin with http:// or https://")
    if not parts.hostname or port == 0:
        raise _no_url(url, "it names no machine" if not parts.hostname else "its port is 0")
    if parts.username is not None or parts.password is not None:
        raise _no_url(url, "it holds a user name; give the key as key=...")
    if parts.query or parts.fragment:
        raise _no_url(url, "it ends in a query or a fragment; give the key as key=...")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise _no_url(url, "it contains a space or a control character")
    return url.rstrip("/")


def checked_key(key: object) -> str | None:
    """A key as a header may hold it.

    Raises:
        SettingsError: it cannot be one; the key is not shown.
    """
    if key is None:
        return None
    if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable():
        raise SettingsError("a key is printable ASCII text, not empty; this one is not")
    return key


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, which no proxy can reach."""
    return urlsplit(url).hostname in _LOOPBACK


def _no_url(url: str, reason: str) -> SettingsError:
    return SettingsError(
        f"{_shown(url)} is not the URL of a server: {reason}; it looks like http://127.0.0.1:7071"
    )


def _shown(url: str) -> str:
    """Without what may be secret: whatever stands before an @ or behind a ?."""
    scheme, slashes, rest = shown_url(url).partition("://")
    rest = rest.rpartition("@")[2].partition("?")[0]
    return repr(f"{scheme.partition('?')[0]}{slashes}{rest}")
