"""Names of things to run: ``travel.py``, ``pkg.module``, or either with ``:app``, ``:book_trip``.

Imports the file or module that a name means and finds the app in it, and the orchestrator when the
name says one. A file is imported as Python itself would if it were the script: its folder comes
first on ``sys.path``; inside a package, the folder above the package does. What cannot be found is
refused with what there is instead (promise ``bad_input_is_refused_whole``). Never runs a function.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from tenuto.functions.locating import loading
from tenuto.host.app import App
from tenuto.interop.azure_app.folder.app_folder import is_app_folder
from tenuto.model.errors import AppLoadError, TenutoError
from tenuto.model.module_names import APART, module_name_of, record_as_its_file
from tenuto.orchestration.references import ActivityFunction, AnyOrchestrator, OrchestratorFunction

_MISSING = object()


@dataclass(frozen=True, slots=True)
class LoadedApp:
    """What a name leads to.

    Attributes:
        app: The app.
        orchestrator: The orchestrator that the name says; None when it names only the app.
    """

    app: App
    orchestrator: AnyOrchestrator | None = None


def load_app(target: str) -> LoadedApp:
    """Import what ``target`` names and find the app in it.

    Args:
        target: A file or a module; after a colon, perhaps, the name of an app or orchestrator in
            it. An orchestrator may also be called by the name under which it is registered.

    Raises:
        AppLoadError: there is no such thing, it cannot be imported, or it is not clear which app
            is meant.

    Example:
        ``load_app("travel.py:book_trip").orchestrator``
    """
    place, name = _split(target)
    if is_app_folder(Path(place)):
        raise AppLoadError(
            f"{place!r} is the folder of an Azure Functions app, and this command is for apps made "
            f"by App(). `tenuto start {place}` serves it, `tenuto instances start NAME` starts an "
            f"orchestration then, and `tenuto doctor --app {place}` finds the instances whose "
            "orchestrators it does not have"
        )
    mark = loading.set(place)
    try:
        module = _import(place)
    finally:
        loading.reset(mark)
    apps = _apps_in(module)
    if name is not None:
        return _named(module, place, name, apps)
    if not apps:
        raise AppLoadError(f"{place} holds no app; it needs `app = App()` at its top level")
    if len(apps) > 1:
        named = ", ".join(f"{place}:{one}" for one in apps)
        raise AppLoadError(f"{place} holds several apps; name one of them: {named}")
    return LoadedApp(next(iter(apps.values())))


def _split(target: str) -> tuple[str, str | None]:
    place, colon, name = target.rpartition(":")
    is_drive = len(place) == 1 and name.endswith(".py")
    if not colon or is_drive or not {"/", "\\"}.isdisjoint(name):
        return target, None
    if not place or not name:
        raise AppLoadError(
            f"{target!r} is not understood; write travel.py, pkg.module, or either with the name "
            "of an app or orchestrator behind a colon: travel.py:book_trip"
        )
    return place, name


# --- finding the app ---------------------------------------------------------------------------


def _apps_in(module: ModuleType) -> dict[str, App]:
    """Each app of a module once, under its first name."""
    apps: dict[str, App] = {}
    for name, value in vars(module).items():
        if isinstance(value, App) and all(value is not known for known in apps.values()):
            apps[name] = value
    return apps


def _named(module: ModuleType, place: str, name: str, apps: dict[str, App]) -> LoadedApp:
    value = getattr(module, name, _MISSING)
    if isinstance(value, App):
        return LoadedApp(value)
    if isinstance(value, OrchestratorFunction):
        return LoadedApp(_app_of(value, f"{place}:{name}", apps), value)
    registered = [app for app in apps.values() if app.find_orchestrator(name) is not None]
    if len(registered) == 1:
        return LoadedApp(registered[0], registered[0].get_orchestrator(name))
    if registered:
        raise AppLoadError(f"several apps of {place} have an orchestrator named {name!r}")
    raise AppLoadError(_refusal(module, place, name, apps))


def _app_of(orchestrator: AnyOrchestrator, named: str, apps: dict[str, App]) -> App:
    """The app that an orchestrator belongs to: of the module named, else of the one it is from."""
    home = sys.modules.get(orchestrator.function.__module__)
    elsewhere = {} if home is None else _apps_in(home)
    for app in (*apps.values(), *elsewhere.values()):
        found = app.find_orchestrator(orchestrator.name)
        # options() gives copies, which have the function in common.
        if found is not None and found.function is orchestrator.function:
            return app
    raise AppLoadError(
        f"{named} is an orchestrator, but its app is not there; import the app into the same module"
    )


def _refusal(module: ModuleType, place: str, name: str, apps: dict[str, App]) -> str:
    functions = [
        one for one, value in vars(module).items() if isinstance(value, OrchestratorFunction)
    ]
    registered = [one for app in apps.values() for one in app.orchestrators]
    orchestrators = list(dict.fromkeys((*functions, *registered)))
    known = (
        f"orchestrators: {', '.join(orchestrators) or 'none'}; apps: {', '.join(apps) or 'none'}"
    )
    value = getattr(module, name, _MISSING)
    if value is _MISSING:
        return f"{place} has no {name!r}{_did_you_mean(name, (*orchestrators, *apps))}; {known}"
    return f"{place}:{name} is {_what(value, place, apps.values())}; {known}"


def _what(value: object, place: str, apps: Iterable[App]) -> str:
    if isinstance(value, ActivityFunction):
        return "an activity; only orchestrators can be started"
    if inspect.isfunction(value):
        if any(one.is_run_for_events(value) for one in apps):
            return (
                "a function that events start, and nothing else; serve its app, and it runs for "
                f"them: tenuto start {place}"
            )
        return "a plain function; decorate it with @app.orchestrator"
    kind = "a class" if isinstance(value, type) else f"of type {type(value).__name__}"
    return f"neither an app nor an orchestrator, it is {kind}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


# --- importing ---------------------------------------------------------------------------------


def _import(place: str) -> ModuleType:
    path = Path(place)
    if place.endswith(".py") or not {"/", "\\"}.isdisjoint(place) or path.is_file():
        return _import_file(place, path)
    nothing = AppLoadError(
        f"there is neither a file nor a module {place!r}; files end with .py, modules are looked "
        "for in the current folder first"
    )
    if not all(part.isidentifier() for part in place.split(".")):
        raise nothing
    _put_first(Path.cwd())
    with _blaming(place):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if f"{place}.".startswith(f"{error.name}."):
                raise nothing from None
            raise
    if (file := getattr(module, "__file__", None)) is not None:
        record_as_its_file(place, file)
    return module


def _import_file(place: str, path: Path) -> ModuleType:
    if path.is_dir():
        raise AppLoadError(f"{place} is a folder; name a file in it, or a module")
    if not path.is_file():
        here = [str(one) for one in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise AppLoadError(f"there is no file {place!r}{_did_you_mean(place, here)}")
    if path.suffix != ".py":
        raise AppLoadError(f"{place} is not a Python file: its name does not end with .py")
    root, name = module_name_of(str(path.absolute()))
    _put_first(Path(root))
    with _blaming(place):
        return _import_as(name, path.absolute())


def _import_as(name: str, path: Path) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) and path.samefile(str(known.__file__)):
            return known
        name = APART + name  # such as json.py: others rely on the module of that name
    parent, _dot, own_name = name.rpartition(".")
    if parent:
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    if parent:
        setattr(sys.modules[parent], own_name, module)
    return module


def _put_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@contextmanager
def _blaming(place: str) -> Generator[None]:
    """Turn whatever an import raises into one error that shows the user's own lines."""
    try:
        yield
    except TenutoError:  # says itself what is wrong, and where
        raise
    except SystemExit as error:
        raise AppLoadError(f"{place} ends the program while it is imported ({error!r})") from error
    except SyntaxError as error:
        what = "".join(traceback.format_exception_only(error)).rstrip()
        raise AppLoadError(
            f"{place} cannot be imported, it is not valid Python:\n{what}"
        ) from error
    except Exception as error:
        raise AppLoadError(
            f"{place} cannot be imported: {type(error).__name__}: {error}\n{_users_lines(error)}"
        ) from error


def _users_lines(error: Exception) -> str:
    """The traceback without the machinery of imports."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<frozen importlib")
        and Path(frame.filename).parent != Path(str(importlib.__file__)).parent
    ]
    return "".join(traceback.format_list(frames)).rstrip()
