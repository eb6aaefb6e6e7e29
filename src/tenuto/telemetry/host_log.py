"""The four lines of a host's life: starting, started, stopping, stopped; each exactly once."""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.model.shown_urls import without_asked_password, without_named_password, without_query

_LOGGER: Final = logging.getLogger("tenuto.host")
_WORD: Final = re.compile(r"\S+")
_PASSWORD: Final = re.compile(r"(:/*+[^/@:\s]++):.*@", re.DOTALL)
_SECRET_NAMES: Final = ("key", "password", "secret", "token", "headers", "connection_string")
_HIDDEN: Final = "***"
_ADDRESSES: Final = ("webhook", "event_grid")
"""Settings that are addresses of others, whose queries may be what opens them."""


class HostLog:
    """Says where a host is in its life. What was said is not said again before the next start.

    Args:
        store: The store, for people.
    """

    def __init__(self, store: str) -> None:
        self._store = without_password(store)
        self._said: set[str] = set()

    def starting(self) -> None:
        """The host is about to open its store."""
        self._said.clear()
        self._say("starting", "host starting on %s", self._store)

    def started(self, seconds: float, settings: Struct) -> None:
        """The host serves. People see which settings are not the default, machines see all.

        Args:
            seconds: How long it took to get there.
            settings: What is in force; keys and passwords are not shown.
        """
        if not _LOGGER.isEnabledFor(logging.INFO):
            return
        in_force = shown({**msgspec.to_builtins(settings), "storage": self._store})
        chosen = _changes(in_force, msgspec.to_builtins(type(settings)()))
        text = msgspec.json.encode(chosen, enc_hook=repr).decode()
        self._say(
            "started",
            "host started in %.0f ms; %s",
            seconds * 1000,
            f"settings that were changed: {text}" if chosen else "all settings as by default",
            settings=in_force,
        )

    def links_wait(self, base: str) -> None:
        """A link was made, and no server of this host answers it.

        Args:
            base: Where it points.
        """
        self._say(
            "links wait",
            "links for answers point to %s, and this host has no server: they work once `tenuto "
            "start` serves this store there (setting http.base_url names another address)",
            base,
        )

    def stopping(self) -> None:
        """The host takes nothing new and lets running work end."""
        self._say("stopping", "host stopping")

    def stopped(self) -> None:
        """The host is gone."""
        self._say("stopped", "host stopped")

    def _say(self, what: str, text: str, *values: object, **more: object) -> None:
        if what not in self._said:
            self._said.add(what)
            with suppress(Exception):  # out of handlers of an app: a host that stops must stop
                _LOGGER.info(text, *values, extra=more)


def _changes(values: Mapping[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    """What is not as usual, in sections too."""
    found: dict[str, object] = {}
    for name, value in values.items():
        before = usual.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = _changes(value, before)  # noqa: PLW2901 - only what differs
            if not value:
                continue
        elif value == before:
            continue
        found[name] = value
    return found


def shown(configuration: Mapping[str, object]) -> dict[str, object]:
    """Settings without what must stay secret."""
    return {name: _shown(name, value) for name, value in configuration.items()}


def _shown(name: str, value: object) -> object:
    if value and any(word in name.lower() for word in _SECRET_NAMES):
        return _HIDDEN  # with all that is below it
    if isinstance(value, Mapping):
        return {str(key): _shown(str(key), one) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    return without_query(value, _HIDDEN) if name in _ADDRESSES else without_password(value)


def without_password(text: str) -> str:
    """A setting in which the password of a URL, or of a text for libpq, is hidden."""
    text = without_named_password(text, _HIDDEN)
    return without_asked_password(_WORD.sub(_without_account, text), _HIDDEN)


def _without_account(word: re.Match[str]) -> str:
    """A word without the password of a URL: from its second colon to its last ``@``.

    Once a word and not at each of its colons: logs say what strangers have written.
    """
    text = word[0]
    account, at, place = text.rpartition("@")
    if not at or ":" not in account:
        return text
    return _PASSWORD.sub(rf"\1:{_HIDDEN}@", f"{account}@", count=1) + place
