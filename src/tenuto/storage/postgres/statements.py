"""The named SQL of the ``.sql`` files beside it, for one task hub.

In the files the hub's schema is called ``hub`` and arguments have names. PostgreSQL has no
variables for schemas and numbers its arguments, so both are put in once, when a store is opened.
Nothing else builds SQL at run time.
"""

import re
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from msgspec import Struct, structs

_BLOCK = re.compile(r"^-- (\w+): [^\n]*\n(.*?)(?=^-- \w+: |\Z)", re.MULTILINE | re.DOTALL)
_HUB = re.compile(r"('?)\bhub\.(?=\w)")
_ARGUMENT = re.compile(r"(?<![:\w]):([a-z_]+)\b")
_COMMENT = re.compile(r"--[^\n]*")
_BEGIN: Final = "AS $of_the_hub$"
_END: Final = "$of_the_hub$;"
_here = files(__package__)

_TEXTS: Final = {
    name: _COMMENT.sub("", text).strip().rstrip(";")
    for entry in sorted(_here.iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sql")
    for name, text in _BLOCK.findall(entry.read_text(encoding="utf-8"))
}
_MIGRATIONS: Final = [
    entry.read_text(encoding="utf-8")
    for entry in sorted(_here.joinpath("schema").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sql")
]

NEWEST_SCHEMA: Final = len(_MIGRATIONS)
"""The version of the schema that this Tenuto knows."""


class Statement(Struct, frozen=True):
    """One statement.

    Attributes:
        name: Its own, which its prepared form is known by.
        text: With numbered arguments.
        arguments: Their names in the order of their numbers.
    """

    name: str
    text: str
    arguments: tuple[str, ...]

    def bound(self, values: dict[str, Any]) -> list[Any]:
        """The values in the order of the arguments; a missing one is a KeyError."""
        return [values[name] for name in self.arguments]


def quoted(schema: str) -> str:
    """A schema's name as SQL writes it."""
    return '"' + schema.replace('"', '""') + '"'


@lru_cache(maxsize=64)
def statements(schema: str) -> dict[str, Statement]:
    """All statements of a hub, by name."""
    # The schema last: in its name anything may stand, also what looks like an argument.
    found = [_numbered(name, text) for name, text in _TEXTS.items()]
    return {one.name: structs.replace(one, text=_of_hub(one.text, schema)) for one in found}


def migrations(schema: str) -> list[str]:
    """Scripts in order; the n-th brings the schema to version n."""
    return [_of_hub(text, schema) for text in _MIGRATIONS]


def _of_hub(text: str, schema: str) -> str:
    name = f"{quoted(schema)}."
    # What begins a literal is within it, and a body ends where its sign comes again.
    literal = name.replace("'", "''")
    found = _HUB.sub(lambda match: f"'{literal}" if match[1] else name, text)
    return found if "$$" not in schema else found.replace("AS $$", _BEGIN).replace("$$;", _END)


def _numbered(name: str, text: str) -> Statement:
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return Statement(name, _ARGUMENT.sub(number, text), tuple(names))
