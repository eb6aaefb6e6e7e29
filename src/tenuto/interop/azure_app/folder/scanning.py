"""The functions of an app, told by its files alone: nothing of it is run or imported.

``function.json`` says them exactly. Code in Python is parsed, code in JavaScript is searched for
calls that register a function; what code computes is not seen, so that these are guesses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.javascript_source import scan_javascript
from tenuto.interop.azure_app.folder.json_text import read_json_object
from tenuto.interop.azure_app.folder.languages import Language, binding_files
from tenuto.interop.azure_app.folder.patterns import files_of_pattern
from tenuto.interop.azure_app.folder.python_source import scan_python
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import AppLoadError

_SCRIPTS: Final = "{js,cjs,mjs,ts,cts,mts}"
_SOURCES: Final = f"{{*.{_SCRIPTS},src/**/*.{_SCRIPTS}}}"


class Scan(Struct, frozen=True, kw_only=True):
    """What the files of an app say.

    Attributes:
        functions: Those that were found.
        is_guess: Whether code was searched; what it computes was not seen then.
        findings: Files that cannot be read.
    """

    functions: tuple[FunctionFacts, ...] = ()
    is_guess: bool = True
    findings: tuple[Finding, ...] = ()


def scan_functions(app: AppFolder) -> Scan:
    """Find the functions of an app in its files."""
    if app.kind.language is Language.NODE:
        files = files_of_pattern(app.root, app.kind.main) or files_of_pattern(app.root, _SOURCES)
        functions, findings = scan_javascript(app.root, files)
    elif app.kind.model == "v1":
        return _scan_bindings(app.root, app.settings)
    else:
        functions, findings = scan_python(app.root, app.kind.script)
    return Scan(functions=tuple(functions), findings=tuple(findings))


# --- function.json ------------------------------------------------------------------------------


def _scan_bindings(root: Path, settings: AppSettings) -> Scan:
    functions, findings = [], []
    for path in binding_files(root):
        shown = f"{path.parent.name}/{path.name}"
        try:
            content = read_json_object(path, shown)
            bindings = _bindings_in(content, shown)
            _check_script(path.parent, content, shown)
            retry = _retry_in(content, shown)
        except AppLoadError as error:
            findings.append(
                Finding(
                    level=Level.UNSUPPORTED,
                    topic="functions",
                    text=str(error),
                    advice="the app would not be loaded",
                )
            )
            continue
        function = FunctionFacts(name=path.parent.name, bindings=bindings, retry=retry, file=shown)
        if _is_disabled(content.get("disabled"), settings):
            findings.append(
                Finding(
                    level=Level.NOTE,
                    topic="functions",
                    text=f"function {function.name!r} is not run",
                    advice="its function.json switches it off",
                    file=shown,
                )
            )
        else:
            functions.append(function)
    return Scan(functions=tuple(functions), is_guess=False, findings=tuple(findings))


def _is_disabled(said: object, settings: AppSettings) -> bool:
    """Whether ``disabled`` holds: it may be the name of a setting."""
    return settings.is_on(said) if isinstance(said, str) else said is True


def _bindings_in(content: Mapping[str, Any], shown: str) -> list[dict[str, Any]]:
    bindings = content.get("bindings")
    if not isinstance(bindings, list) or not all(isinstance(one, dict) for one in bindings):
        raise AppLoadError(f"{shown}: bindings must be a list of objects")
    return bindings


def _retry_in(content: Mapping[str, Any], shown: str) -> dict[str, Any] | None:
    retry = content.get("retry")
    if retry is not None and not isinstance(retry, dict):
        raise AppLoadError(f"{shown}: retry must be an object")
    return retry


def _check_script(folder: Path, content: Mapping[str, Any], shown: str) -> None:
    script = content.get("scriptFile", "__init__.py")
    if not isinstance(script, str) or not (folder / script).is_file():
        raise AppLoadError(f"{shown}: there is no file {script!r}, which scriptFile names")
