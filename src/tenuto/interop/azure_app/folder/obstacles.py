"""What would keep an app from being loaded, as far as that is told without running it."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.interpreters import Interpreter, ask_interpreter
from tenuto.interop.azure_app.folder.javascript_source import registers
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.folder.python_obstacles import python_obstacles
from tenuto.interop.node import CHECKING

_ADVICE: Final = "the app would not be loaded"


class _Wrong(Struct, frozen=True):
    text: str
    file: str
    line: int | None = None


class _Looked(Struct, frozen=True):
    """What Node says of the files of an app.

    Attributes:
        wrong: What is wrong.
        files: Those that were looked at.
        is_whole: Whether there were no more of them.
    """

    wrong: tuple[_Wrong, ...] = ()
    files: tuple[str, ...] | None = None
    is_whole: bool = True


def check_loading(app: AppFolder, interpreter: Interpreter) -> list[Finding]:
    """What would keep an app from being loaded: syntax, imports, no functions at all.

    Args:
        app: The app, with its packages.
        interpreter: Runs it. Is asked for what it knows of the files, and runs none of them.

    Raises:
        AppLoadError: the interpreter does not answer.
    """
    if app.kind.language is Language.NODE:
        return list(_javascript(app, interpreter))
    if app.kind.model == "v2":
        return python_obstacles(app.root, app.kind.script, interpreter, app.settings)
    return []


def _javascript(app: AppFolder, interpreter: Interpreter) -> Iterator[Finding]:
    arguments = (str(CHECKING), str(app.root))
    looked = ask_interpreter(interpreter, arguments, _Looked, app.settings)
    for one in looked.wrong:
        yield _finding(Level.UNSUPPORTED, one.text, _ADVICE, one.file, one.line)
    files = looked.files or ()
    texts = (app.root.joinpath(one).read_text(errors="replace") for one in files)
    if files and looked.is_whole and not looked.wrong and not any(map(registers, texts)):
        yield _finding(
            Level.UNSUPPORTED,
            "the app has no functions: nothing in its files registers one",
            "such as app.http(...)",
            "package.json",
        )
    if not looked.is_whole:
        yield _finding(
            Level.NOTE,
            f"the app has more than {len(files)} files of its own",
            "the others were not looked at",
        )


def _finding(
    level: Level, text: str, advice: str, file: str | None = None, line: int | None = None
) -> Finding:
    return Finding(level=level, topic="functions", text=text, advice=advice, file=file, line=line)
