"""``tenuto new``: a project that runs, from the files in ``project/`` or ``azure/projects/``.

Writes nothing at all where something of it is there already.
"""

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import distribution, version
from importlib.resources import files
from importlib.resources.abc import Traversable
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
_HIDDEN: Final = {name: f".{name}" for name in ("gitignore", "funcignore", "vscode")}
"""Files and folders of those names in our own folder would be obeyed there."""
_NAME: Final = re.compile(r"[\w.\- ]{1,100}")
_LONGEST_HUB: Final = 45


class _Project(Struct, frozen=True):
    """A kind of project: the folders that its files are in, and what to do with it first."""

    folders: tuple[str, ...]
    steps: tuple[str, ...]


_NATIVE: Final = _Project(
    ("project",), ("pip install -r requirements.txt", "pytest", "tenuto start app.py")
)
_AZURE: Final = {
    "javascript": _Project(
        ("azure/projects/both", "azure/projects/javascript"),
        ("npm install", "tenuto azure check", "tenuto start ."),
    ),
    "python": _Project(
        ("azure/projects/both", "azure/projects/python"),
        (
            "python3 -m venv .venv",
            ".venv/bin/pip install -r requirements.txt",
            "tenuto azure check",
            "tenuto start .",
        ),
    ),
}


@click.command()
@click.argument("name", required=False)
@click.option("--here", is_flag=True, help="In this folder, not in a new one called NAME.")
@click.option("--azure-js", is_flag=True, help="An Azure Functions app in JavaScript.")
@click.option("--azure-python", is_flag=True, help="An Azure Functions app in Python.")
@json_option
def new(name: str | None, *, here: bool, azure_js: bool, azure_python: bool, as_json: bool) -> None:
    """Make a project that runs and has a test, in a new folder NAME.

    An orchestrator, two activities, an event with a timeout; a test in virtual time; settings with
    their defaults; a README. With --azure-js or --azure-python, such an app as Azure Functions has
    them, and what VS Code needs to start and debug it; without NAME, in this folder if it is empty.
    Nothing is overwritten.
    """
    if azure_js and azure_python:
        raise click.UsageError("give --azure-js or --azure-python, not both")
    project = _NATIVE
    if azure_js or azure_python:
        project = _AZURE["javascript" if azure_js else "python"]
    if name is None and project is not _NATIVE:  # as `func init` has it
        here = here or _is_empty(Path.cwd())
    folder, title = _place(name, here=here)
    contents = {path: _filled(text, title) for path, text in _templates(project)}
    _check_free(folder, contents, here=here)
    try:
        folder.mkdir(exist_ok=True)
        for path, text in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
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
    for step in project.steps:
        terminal.say(f"  {step}")


def _is_empty(folder: Path) -> bool:
    """Whether nothing is there but what is hidden, such as ``.git`` and ``.venv``."""
    return all(one.name.startswith(".") for one in folder.iterdir())


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


def _templates(project: _Project) -> Iterator[tuple[str, str]]:
    """Path and text of each file, without what belongs to one project."""
    for folder in project.folders:
        yield from _below(files(__package__).joinpath(folder), "")


def _below(folder: Traversable, above: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        name = entry.name.removesuffix(_SUFFIX)
        path = f"{above}{_HIDDEN.get(name, name)}"
        if entry.is_dir():
            yield from _below(entry, f"{path}/")
        elif entry.name.endswith(_SUFFIX):
            yield path, entry.read_text(encoding="utf-8")


def _filled(text: str, title: str) -> str:
    words = re.findall(r"[a-z0-9]+", title.lower())
    hub = "".join(word.title() for word in words)[: _LONGEST_HUB - 3]
    filled = text.replace("{{name}}", title).replace("{{file}}", "_".join(words) or "tenuto")
    filled = filled.replace("{{hub}}", hub if hub[:1].isalpha() else f"Hub{hub}")
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
