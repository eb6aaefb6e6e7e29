"""All that can be said of an app before anything of it runs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tenuto.interop.azure_app.folder.app_folder import AppFolder, UnsupportedApp, examine_app_folder
from tenuto.interop.azure_app.folder.bindings import (
    RouteParser,
    check_functions,
    chosen_functions,
    running_functions,
)
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.interpreters import ADVISED_NODE, Interpreter, find_interpreter
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.folder.obstacles import check_loading
from tenuto.interop.azure_app.folder.packages import check_packages, check_plain_host_file
from tenuto.interop.azure_app.folder.scanning import Scan, scan_functions
from tenuto.interop.azure_app.folder.storage_bindings import check_storage
from tenuto.interop.azure_app.folder.time_zones import zone_of
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import AppLoadError
from tenuto.model.timer_schedule import parse_schedule

_INTERPRETER = "interpreter"


class AppReport(Struct, frozen=True, kw_only=True):
    """What was found out about an app.

    Attributes:
        root: Its folder, absolute.
        findings: What it says, and what becomes of that.
        functions: Those that its files seem to have.
        is_guess: Whether the functions were told by searching code, not by ``function.json``.
    """

    root: Path
    findings: tuple[Finding, ...]
    functions: tuple[FunctionFacts, ...] = ()
    is_guess: bool = True

    @property
    def is_supported(self) -> bool:
        """Whether nothing of it is unsupported, as far as its files tell."""
        return all(one.level is not Level.UNSUPPORTED for one in self.findings)


def check_app(
    path: Path,
    environment: Mapping[str, str] | None = None,
    *,
    parse_route: RouteParser | None = None,
) -> AppReport:
    """Find out what of an app is not supported. Asks its interpreter, and runs nothing of it.

    Args:
        path: The folder of the app.
        environment: Variables; those of the process by default.
        parse_route: Reads the route of a function behind HTTP; None to leave them unread.

    Raises:
        AppLoadError: it is no app, or one of its files is wrong.

    Example:
        ``check_app(Path(".")).is_supported``
    """
    found = examine_app_folder(path, environment)
    if isinstance(found, UnsupportedApp):
        return AppReport(root=found.root, findings=(found.finding,), is_guess=False)
    scan = scan_functions(found)
    functions = chosen_functions(scan.functions, found.host, found.settings)
    interpreter = _interpreter(found, functions)
    return AppReport(
        root=found.root,
        findings=(
            *found.findings,
            *_time_zone(found),
            *interpreter,
            *scan.findings,
            *_none_at_all(scan, interpreter),
            *_not_run(scan.functions, functions),
            *check_functions(
                functions,
                settings=found.settings,
                parse_schedule=parse_schedule,
                parse_route=parse_route,
            ),
            *_storage(found, scan, functions),
        ),
        functions=tuple(functions),
        is_guess=scan.is_guess,
    )


def _storage(app: AppFolder, scan: Scan, functions: Sequence[FunctionFacts]) -> list[Finding]:
    """What is wrong with queues, blobs and tables; code does not say all of them."""
    if scan.is_guess:
        return []
    try:
        return check_storage(running_functions(functions, app.host, app.settings), app.settings)
    except AppLoadError:
        return []  # told of already


def _not_run(
    functions: Sequence[FunctionFacts], chosen: Sequence[FunctionFacts]
) -> Iterator[Finding]:
    for one in functions:
        if one not in chosen:
            yield Finding(
                level=Level.NOTE,
                topic="functions",
                text=f"function {one.name!r} is not run",
                advice="host.json leaves it out, or a setting switches it off",
                file=one.file,
                line=one.line,
            )


def _time_zone(app: AppFolder) -> Iterator[Finding]:
    try:
        zone_of(app.settings)
    except AppLoadError as error:
        yield Finding(level=Level.UNSUPPORTED, topic="settings", text=str(error))


def _interpreter(app: AppFolder, functions: Sequence[FunctionFacts]) -> list[Finding]:
    try:
        found = find_interpreter(app)
    except AppLoadError as error:
        finding = Finding(level=Level.UNSUPPORTED, topic=_INTERPRETER, text=str(error))
        return [finding]
    findings = [
        *check_plain_host_file(app, found, functions),
        _words(app, found),
        *check_packages(app, found),
    ]
    if any(one.level is Level.UNSUPPORTED for one in findings):
        return findings  # of what else could not be loaded this may be the reason
    try:
        return [*findings, *check_loading(app, found)]
    except AppLoadError as error:
        return [*findings, Finding(level=Level.NOTE, topic=_INTERPRETER, text=str(error))]


def _none_at_all(scan: Scan, others: Sequence[Finding]) -> Iterator[Finding]:
    """An app without functions is refused. Where code was searched, it may have some all the same.

    Nothing is said where something else is wrong: that may be the reason.
    """
    if scan.functions or any(one.level is Level.UNSUPPORTED for one in (*scan.findings, *others)):
        return
    yield Finding(
        level=Level.NOTE if scan.is_guess else Level.UNSUPPORTED,
        topic="functions",
        text="no function was found",
        advice="`tenuto start .` says whether code makes some" if scan.is_guess else "add one",
    )


def _words(app: AppFolder, found: Interpreter) -> Finding:
    name = "Node.js" if app.kind.language is Language.NODE else "Python"
    text = f"{name} {found.version} at {found.path} ({found.found_by})"
    if app.kind.language is Language.NODE and found.numbers[0] < ADVISED_NODE:
        advice = f"it is no longer maintained; better {ADVISED_NODE} or newer"
        return Finding(level=Level.NOTE, topic=_INTERPRETER, text=text, advice=advice)
    return Finding(level=Level.HONOURED, topic=_INTERPRETER, text=text)
