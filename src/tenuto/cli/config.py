"""``tenuto config``: every setting in force, and where its value came from. Secrets stay hidden."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.host.settings import DEFAULT, SECRET, LoadedSettings, load_settings
from tenuto.telemetry.host_log import shown, without_password

if TYPE_CHECKING:
    from tenuto.cli.picture.table import Rows

_HIDDEN: Final = "(hidden)"
_WIDEST: Final = 32
"""Columns for values; a longer one moves its own source to the right."""


@click.command()
@click.option("--storage", help="Storage URL, as the other commands take it.")
@json_option
def config(storage: str | None, *, as_json: bool) -> None:
    """Show every setting, its value and where that came from.

    Later ones win: defaults, tenuto.toml or [tool.tenuto] of pyproject.toml in this folder,
    environment variables TENUTO_*, options. What is unknown is refused, with the nearest name.
    """
    loaded = load_settings(storage=storage, given_as="option --{}")
    values = {key: _shown(loaded, key) for key in loaded.sources}
    if as_json:
        settings = {
            key: {"value": value, "source": loaded.sources[key]} for key, value in values.items()
        }
        terminal.say(encoded(settings))
        return
    terminal.show(terminal.console(), settings_table(values, loaded.sources))


def settings_table(values: Mapping[str, object], sources: Mapping[str, str]) -> "Rows":
    """A row for each setting; those that somebody chose stand out."""
    from rich.text import Text

    from tenuto.cli.picture.table import Column, Rows

    def texts(cells: Iterable[str]) -> list[Text]:
        return [
            Text(cell, "" if sources[key] == DEFAULT else "cyan")
            for key, cell in zip(values, cells, strict=True)
        ]

    written = [msgspec.json.encode(value).decode() for value in values.values()]
    columns = [
        Column(name="KEY", cells=texts(values)),
        Column(name="VALUE", cells=texts(written), leaves=1, most=_WIDEST),
    ]
    origins = Column(name="SOURCE", cells=texts(sources[key] for key in values))
    return Rows(columns=columns, text=origins, has_head=False)


def _shown(loaded: LoadedSettings, key: str) -> Any:  # noqa: ANN401 - any value of a setting
    value: Any = loaded.values
    for name in key.split("."):
        value = getattr(value, name)
    if key == "notifications.targets":
        return shown(msgspec.to_builtins(value))
    if key not in SECRET:
        return without_password(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    return _HIDDEN if value else value


def _without_secrets(value: object) -> object:
    """A key with its role and so on, but not the key itself."""
    if not isinstance(value, Struct):
        return _HIDDEN
    fields: dict[str, Any] = msgspec.structs.asdict(value)
    return {name: _HIDDEN if name == "key" else one for name, one in fields.items()}
