"""The settings of an app, and the file ``local.settings.json`` that some of them come from.

The environment wins over the file, as in Core Tools. Values are secrets: they are handed to the
worker and never shown, neither here nor in errors.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.json_text import read_json_object
from tenuto.model.errors import AppLoadError

LOCAL_FILE: Final = "local.settings.json"
_REFERENCE: Final = re.compile(r"%([^%\s]+)%")
_PORTS: Final = 65_535
_SHORTEST_SECRET: Final = 8


class LocalHost(Struct, frozen=True, kw_only=True):
    """``Host`` of ``local.settings.json``: how the server listens while the app is at home.

    Attributes:
        port: Of the server; None when nothing is said.
        cors_origins: Web origins whose scripts may call.
        cors_credentials: Whether they may send cookies.
    """

    port: int | None = None
    cors_origins: tuple[str, ...] = ()
    cors_credentials: bool = False


class MissingSettingError(Exception):
    """A text names a setting that is not there; its argument is the name."""


class AppSettings:
    """Settings by name, compared without regard to case. Shows no values.

    Args:
        local: Those of ``local.settings.json``.
        environment: Those of the environment, which win.

    Example:
        ``app.settings.resolve("%Schedule%")``
    """

    def __init__(self, local: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._local = dict(local)
        self._environment = dict(environment)
        self._all = {name.lower(): value for name, value in {**local, **environment}.items()}

    def __repr__(self) -> str:
        return f"AppSettings({', '.join(self.local_names) or 'none of its own'})"

    @property
    def local_names(self) -> list[str]:
        """The names that ``local.settings.json`` has."""
        return list(self._local)

    @property
    def overridden_names(self) -> list[str]:
        """Those among them that the environment has too, and wins."""
        return [name for name in self._local if name in self._environment]

    @property
    def secrets(self) -> Mapping[str, str]:
        """Values that no error may show, by what to say instead: those of ``local.settings.json``,
        and of the environment where that has another one for the same name.

        Short ones are left out: they are words such as ``true`` or ``python``.
        """
        others = {
            f"{name} in the environment": self._all[name.lower()] for name in self.overridden_names
        }
        return {
            f"(the value of the setting {name})": value
            for name, value in (self._local | others).items()
            if len(value) >= _SHORTEST_SECRET
        }

    def get(self, *names: str) -> str | None:
        """The value of the first setting that is there and not empty."""
        return next(filter(None, (self._all.get(name.lower()) for name in names)), None)

    def is_on(self, *names: str) -> bool:
        """Whether one of these settings is ``true`` or ``1``."""
        return any((self._all.get(name.lower()) or "").lower() in {"true", "1"} for name in names)

    def is_disabled(self, function: str) -> bool:
        """Whether the settings switch a function off."""
        return self.is_on(
            f"AzureWebJobs.{function}.Disabled",
            f"AzureWebJobs_{function}_Disabled",
            f"AzureWebJobs__{function}__Disabled",
        )

    def resolve(self, text: str) -> str:
        """A text with the values of settings in the places of ``%name%``.

        Raises:
            MissingSettingError: there is no setting of such a name.
        """

        def value(match: re.Match[str]) -> str:
            found = self.get(match[1])
            if found is None:
                raise MissingSettingError(match[1])
            return found

        return _REFERENCE.sub(value, text)

    def below(self, prefix: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Each setting whose name begins so: name, the names behind it, value."""
        for name, value in {**self._local, **self._environment}.items():
            first, *others = re.split(r"__|:", name)
            if first.lower() == prefix.lower() and others:
                yield name, tuple(others), value

    def environment(self, withheld: Collection[str] = ()) -> dict[str, str]:
        """All of them, as the environment of a process.

        Args:
            withheld: Names that are not taken from the environment, only from the file.
        """
        kept = {name: value for name, value in self._environment.items() if name not in withheld}
        return {**self._local, **kept}


def read_local_settings(root: Path) -> tuple[dict[str, str], LocalHost]:
    """What ``local.settings.json`` says: the settings, and how the server listens.

    Raises:
        AppLoadError: it is no JSON, is encrypted, or a key in it has a value of another kind.
    """
    path = root / LOCAL_FILE
    if not path.is_file():
        return {}, LocalHost()
    content = {name.lower(): value for name, value in read_json_object(path, LOCAL_FILE).items()}
    if content.get("isencrypted") is True:
        raise AppLoadError(
            f"{LOCAL_FILE}: it is encrypted; run `func settings decrypt` in {str(root)!r} and try "
            "again"
        )
    values = {
        name: text
        for name, value in _object(content, "Values").items()
        if (text := _as_text(value, f"Values.{name}")) is not None
    }
    for name, value in _object(content, "ConnectionStrings").items():
        given = value.get("ConnectionString") if isinstance(value, dict) else value
        text = _as_text(given, f"ConnectionStrings.{name}")
        if text is not None:
            values[f"ConnectionStrings:{name}"] = text
    for name, value in values.items():
        if not name or "=" in name or "\0" in name + value:
            raise AppLoadError(f"{LOCAL_FILE}: {name!r} cannot be a variable of a process")
    return values, _local_host(_object(content, "Host"))


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = content.get(name.lower())
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise AppLoadError(f"{LOCAL_FILE}: {name} must be an object")
    return given


def _as_text(value: object, key: str) -> str | None:
    """A value as the environment has it; null stands for nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    kind = "a list" if isinstance(value, list) else "an object"
    raise AppLoadError(
        f"{LOCAL_FILE}: {key} must be a text, not {kind}; nested settings are written with two "
        "underscores: Outer__Inner"
    )


def _local_host(given: Mapping[str, Any]) -> LocalHost:
    known = {name.lower(): value for name, value in given.items()}
    port = known.get("localhttpport")
    if port is not None:
        is_digits = isinstance(port, str) and port.isascii() and port.isdigit()
        port = int(port) if is_digits else port
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _PORTS:
            raise AppLoadError(f"{LOCAL_FILE}: Host.LocalHttpPort must be a port, 0 to {_PORTS}")
    origins = known.get("cors") or ""
    if not isinstance(origins, str):
        raise AppLoadError(f"{LOCAL_FILE}: Host.CORS must be a text: origins with commas between")
    credentials = known.get("corscredentials") or False
    if isinstance(credentials, str) and credentials.lower() in {"true", "false"}:
        credentials = credentials.lower() == "true"
    if not isinstance(credentials, bool):
        raise AppLoadError(f"{LOCAL_FILE}: Host.CORSCredentials must be true or false")
    return LocalHost(
        port=port,
        cors_origins=tuple(one.strip().rstrip("/") for one in origins.split(",") if one.strip()),
        cors_credentials=credentials,
    )
