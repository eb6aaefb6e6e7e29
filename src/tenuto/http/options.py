"""The settings of the HTTP server."""

import re
import socket
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from tenuto.model.errors import SettingsError


class Role(StrEnum):
    """What a key allows; each role includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The place among the roles: one with a higher rank may do more."""
        return _RANKS[self]


_RANKS: Final = {Role.READ: 1, Role.OPERATE: 2, Role.ADMIN: 3}


class AccessKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that callers send as header or as query parameter ``code``.

    Attributes:
        key: The secret, at least 16 characters.
        role: What it allows.
        functions: The only HTTP functions that it opens (``@app.http``), by name; the role does
            not matter then. None of them for a key with a role.
    """

    key: Annotated[str, Meta(min_length=16)]
    role: Role = Role.READ
    functions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        if self.functions:
            return f"AccessKey(functions={self.functions!r})"
        return f"AccessKey(role={self.role.value!r})"


_PORT: Final = 7071


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server listens, and what it lets in.

    Attributes:
        host: Address to listen on. Others than loopback need keys.
        port: Port to listen on; 0 for any that is free.
        base_url: The server's own address as others see it, for links; by default that of each
            request.
        trusted_proxies: Addresses or networks whose ``X-Forwarded-*`` headers are believed.
        keys: Keys by name; without any, only loopback is listened to and everything is allowed.
        cors_origins: Web origins whose scripts may call; none by default.
        function_origins: Those whose scripts may call functions behind HTTP and the instances whose
            links these hand out, and nothing else.
        body_bytes: Longest body of a request.
        webhook_bytes: Longest body of a request to a webhook, or to sign in, which needs no key.
        anonymous_bytes: Of bodies that are held at a time for functions of programs that ask for
            no key.
        header_bytes: Longest head of a request.
        history_bytes: Longest history that is answered in one piece, or looked at for an answer.
        page_bytes: Where a page of instances, turns or dead letters ends early.
        request_seconds: The longest time in which head and body of a request must have come.
        idle_connections: Connections on which one peer asks for nothing, at most; for one more the
            oldest is closed.
        access_log: Whether each request is logged, as logger ``tenuto.http.access``.
        link_seconds: How long the links in answers open what they point to.
        watchers: Most live streams at a time.
        dashboard: Whether there is a page on which people look at what goes on.
        session_seconds: How long who has signed in there is known.

    Raises:
        SettingsError: for an address, a network or an origin that is none.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = _PORT
    base_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    keys: dict[str, AccessKey] = {}
    cors_origins: tuple[str, ...] = ()
    function_origins: tuple[str, ...] = ()
    body_bytes: Annotated[int, Meta(ge=1)] = 5 * 1024 * 1024
    webhook_bytes: Annotated[int, Meta(ge=1)] = 64 * 1024
    anonymous_bytes: Annotated[int, Meta(ge=1)] = 64 * 1024 * 1024
    header_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024
    history_bytes: Annotated[int, Meta(ge=1)] = 16 * 1024 * 1024
    page_bytes: Annotated[int, Meta(ge=1)] = 16 * 1024 * 1024
    request_seconds: Annotated[float, Meta(gt=0)] = 30.0
    idle_connections: Annotated[int, Meta(ge=1)] = 512
    access_log: bool = False
    link_seconds: Annotated[int, Meta(ge=1)] = 7 * 24 * 3600
    watchers: Annotated[int, Meta(ge=0)] = 2_000
    dashboard: bool = True
    session_seconds: Annotated[int, Meta(ge=1)] = 8 * 3600

    @property
    def address(self) -> str:
        """Where a server with these settings is reached, as far as they tell."""
        return self.own_address if self.base_url is None else self.base_url

    @property
    def own_address(self) -> str:
        """Where processes of the same machine reach it, as far as these settings tell."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port or _PORT}"

    def __post_init__(self) -> None:
        for proxy in self.trusted_proxies:
            _check_network(proxy)
        if self.base_url is not None and not _is_address(_BASE_URL, self.base_url):
            raise SettingsError(
                f"setting http.base_url cannot be {self.base_url!r}: expected the server's own "
                "address, such as https://flows.example.com"
            )
        _check_origins("cors_origins", self.cors_origins)
        _check_origins("function_origins", self.function_origins)


_HOST: Final = r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_ORIGIN: Final = re.compile(rf"https?://({_HOST})")
_BASE_URL: Final = re.compile(rf"https?://({_HOST})(?:/[A-Za-z0-9._~/-]*)?")
_HOST_HEADER: Final = re.compile(_HOST)
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORTS: Final = 65_535
_ENCODED: Final = "xn--"
"""How a label begins that stands for one with other letters than ASCII."""


def is_host(text: str) -> bool:
    """Whether a ``Host`` is one that whoever reads an address can read: name or IP, and port.

    Functions of programs get it in the URL of the request, and their languages' parsers raise for
    what only looks like one: ``[1.2.3]``, ``name:99999``, ``1.2.3.400``, ``xn--a``.
    """
    if not _HOST_HEADER.fullmatch(text):
        return False
    end = text.find("]") + 1 or text.find(":")
    name, port = (text, "") if end < 0 else (text[:end], text[end:].removeprefix(":"))
    if port and int(port) > _PORTS:
        return False
    return _is_ipv6(name[1:-1]) if name.startswith("[") else _is_name(name)


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return True


def _is_name(name: str) -> bool:
    try:
        if _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
            socket.inet_aton(name)  # then all of it has to be an address
        for label in name.lower().split("."):
            if label.startswith(_ENCODED):
                label.encode("ascii").decode("idna")
    except (OSError, UnicodeError):
        return False
    return True


def _check_origins(setting: str, origins: tuple[str, ...]) -> None:
    for origin in origins:
        if origin != "*" and not _is_address(_ORIGIN, origin):
            raise SettingsError(
                f"setting http.{setting} cannot hold {origin!r}: expected an origin, such as "
                "https://app.example.com, without a path, or *"
            )


def _is_address(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.fullmatch(text)
    return found is not None and is_host(found[1])


_PLACEHOLDERS: Final = (
    *("changeme", "change-me", "change_me", "placeholder", "replaceme", "replace-me"),
    *("replace_me", "yourkey", "your-key", "your_key", "yoursecret", "your-secret", "your_secret"),
    *("example", "password", "insert-", "random-text", "secret-key", "secret_key", "..."),
)
_SENDABLE: Final = re.compile(r"[!-~]+")
_LEAST_DIFFERENT: Final = 4


def check_keys(settings: HttpSettings) -> None:
    """Refuse keys that stand in templates and on pages of documentation, before a server starts.

    The first thing that somebody tries who finds a server is what its manual shows.

    Raises:
        SettingsError: naming the key, without showing it.
    """
    for name, key in settings.keys.items():
        if _is_placeholder(key.key):
            raise SettingsError(
                f"setting http.keys: what stands for the key {name!r} is a placeholder, or nothing "
                "that a caller can send; `tenuto key` makes a key"
            )


def _is_placeholder(key: str) -> bool:
    text = key.lower()
    return (
        not _SENDABLE.fullmatch(key)
        or len(set(key)) < _LEAST_DIFFERENT
        or any(one in text for one in _PLACEHOLDERS)
        or (key[0], key[-1]) in {("<", ">"), ("{", "}"), ("$", "}"), ("[", "]")}
    )


def _check_network(text: str) -> None:
    # Few settings name proxies, and the module takes its time to load.
    import ipaddress  # noqa: PLC0415

    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingsError(
            f"setting http.trusted_proxies cannot hold {text!r}: expected an address or a network, "
            "such as 10.0.0.7 or 10.0.0.0/8"
        ) from None
