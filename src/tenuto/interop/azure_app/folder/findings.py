"""What there is to say of an app: one thing each, with what to do about it."""

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """What becomes of it."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    NOTE = "note"
    UNSUPPORTED = "not supported"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that an app says, and what becomes of it.

    Attributes:
        level: What becomes of it.
        topic: What it is about: app, host.json, local.settings.json, settings, interpreter,
            packages, functions.
        text: What was found. Never holds the value of a setting.
        advice: What to do; empty when there is nothing to do.
        file: Where, relative to the app's folder.
        line: In that file, from 1.
    """

    level: Level
    topic: str
    text: str
    advice: str = ""
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """File and line, as far as they are known; else empty."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"
