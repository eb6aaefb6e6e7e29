"""``tenuto new``: a project that runs and has a test, from the files in ``project/``.

Writes nothing at all where something of it is there already.
"""

import re
import shlex
from importlib.metadata import distribution, version
from importlib.resources import files
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.model.errors import InputError

_SUFFIX: Final = ".template"
_HIDDEN: Final = {"gitignore": ".gitignore"}
"""A file of that name in our own folder would be obeyed there."""
_NAME: Final = re.compile(r"[\w.\- ]{1,100}")


@click.command()
@click.argument("name", required=False)
@click.option("--here", is_flag=True, help="In this folder, not in a new one called NAME.")
@json_option
def new(name: str | None, *, here: bool, as_json: bool) -> None:
    """Make a project that runs and has a test, in a new folder NAME.

    An orchestrator, two activities, an event with a timeout; a test in virtual time; settings with
    their defaults; a README. Nothing is overwritten.
    """
    folder, title = _place(name, here=here)
    contents = {path: _filled(text, title) for path, text in _templates().items()}
    _check_free(folder, contents, here=here)
    try:
        folder.mkdir(exist_ok=True)
        for path, text in contents.items():
            with (folder / path).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise InputError(f"the project cannot be written to {str(folder)!r}: {error}") from None
    if as_json:
        terminal.say(encoded({"folder": str(folder.resolve()), "files": sorted(contents)}))
        return
    terminal.say(f"made {len(contents)} files in {folder.resolve()}; to go on:")
    if not here:
        terminal.say(f"  cd {shlex.quote(str(folder))}")
    terminal.say("  pip install -r requirements.txt")
    terminal.say("  pytest")
    terminal.say("  tenuto start app.py")


def _place(name: str | None, *, here: bool) -> tuple[Path, str]:
    """The folder, and what the project is called."""
    if name is None:
        if not here:
            raise click.UsageError("name the project, or give --here for this folder")
        name = Path.cwd().name
    if not _NAME.fullmatch(name) or not name.strip(". "):
        raise InputError(
            f"a project cannot be called {name!r}: letters, digits, '-', '_', '.' and blanks"
        )
    return Path() if here else Path(name), name


def _templates() -> dict[str, str]:
    """Path and text of each file, without what belongs to one project."""
    found = {}
    for entry in files(__package__).joinpath("project").iterdir():
        if entry.name.endswith(_SUFFIX):
            path = entry.name.removesuffix(_SUFFIX)
            found[_HIDDEN.get(path, path)] = entry.read_text(encoding="utf-8")
    return found


def _filled(text: str, title: str) -> str:
    file = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "tenuto"
    filled = text.replace("{{name}}", title).replace("{{file}}", file)
    return filled.replace("{{tenuto}}", _requirement())


class _VcsInfo(Struct):
    vcs: str
    commit_id: str


class _Origin(Struct):
    """Where a package was installed from, as PEP 610 has it."""

    url: str
    vcs_info: _VcsInfo | None = None


def _requirement() -> str:
    """What installs this Tenuto: from where it was installed itself, or by its version."""
    text = distribution("tenuto").read_text("direct_url.json")
    if text is None:
        return f"tenuto>={version('tenuto')}"
    origin = msgspec.json.decode(text, type=_Origin)
    if origin.vcs_info is None:
        return f"tenuto @ {origin.url}"
    return f"tenuto @ {origin.vcs_info.vcs}+{origin.url}@{origin.vcs_info.commit_id}"


def _check_free(folder: Path, contents: dict[str, str], *, here: bool) -> None:
    if not here and folder.exists():
        raise InputError(
            f"{str(folder)!r} is there already; nothing was written. Choose another name, or go "
            "there and use --here"
        )
    standing = sorted(path for path in contents if (folder / path).exists())
    if standing:
        raise InputError(
            f"{', '.join(standing)} would be overwritten in {str(folder.resolve())!r}; nothing "
            "was written. Choose an empty folder"
        )
