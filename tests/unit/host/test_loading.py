"""Names of things to run: what they lead to, and what is refused with what there is instead."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.host.loading import load_app
from tenuto.model.errors import AppLoadError, RegistrationError

TRAVEL = """
from tenuto import App, Context

app = App()
LIMIT = 3

@app.activity
def book(city: str) -> str:
    return city

@app.orchestrator
async def book_trip(ctx: Context, city: str) -> str:
    return await ctx.call_activity(book, city)

@app.orchestrator(name="CancelTrip")
async def cancel_trip(ctx: Context) -> None: ...

def helper() -> None: ...

@app.subscribe("trips")
def noted(trip: str) -> None: ...

class Trip: ...
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into the current folder; forgets afterwards what was imported from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "travel", raising=False)  # the example's, if it was imported
    before = dict(sys.modules)

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write_file
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def refusal(target: str) -> str:
    with pytest.raises(AppLoadError) as caught:
        load_app(target)
    return str(caught.value)


# --- what a name leads to ----------------------------------------------------------------------


def test_a_file_leads_to_its_one_app(write: Write) -> None:
    write("travel.py", TRAVEL)
    loaded = load_app("travel.py")
    assert set(loaded.app.orchestrators) == {"book_trip", "CancelTrip"}
    assert loaded.orchestrator is None


@pytest.mark.parametrize("place", ["travel.py", "travel", "./travel.py"])
def test_a_name_behind_a_colon_leads_to_an_app_or_orchestrator(write: Write, place: str) -> None:
    write("travel.py", TRAVEL)
    assert load_app(f"{place}:app").orchestrator is None
    loaded = load_app(f"{place}:book_trip")
    assert loaded.orchestrator is not None
    assert loaded.app.find_orchestrator("book_trip") is loaded.orchestrator


def test_a_file_elsewhere_imports_its_neighbours(write: Write, tmp_path: Path) -> None:
    write("elsewhere/neighbour_of_travel.py", TRAVEL)
    write("elsewhere/my-travel.py", "from neighbour_of_travel import app, book_trip\n")
    for target in ("elsewhere/my-travel.py", str(tmp_path / "elsewhere" / "my-travel.py")):
        assert "book_trip" in load_app(target).app.orchestrators


def test_a_file_in_a_package_may_import_relatively(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/flows/__init__.py", "from ..apps import app\n")
    write("shop/apps.py", TRAVEL)
    write("shop/flows/trips.py", "from ..apps import book_trip\nfrom . import app\n")
    by_file = load_app("shop/flows/trips.py:book_trip")
    assert load_app("shop.flows.trips:book_trip") == by_file
    assert load_app("shop/flows/__init__.py").app is by_file.app
    assert load_app("shop.flows").app is by_file.app


def test_an_orchestrator_may_be_called_by_its_registered_name(write: Write) -> None:
    write("travel.py", TRAVEL)
    by_name = load_app("travel.py:CancelTrip").orchestrator
    assert by_name is not None
    assert load_app("travel.py:cancel_trip").orchestrator is by_name


def test_an_orchestrator_is_found_in_the_app_of_the_module_that_it_is_from(write: Write) -> None:
    write("travel.py", TRAVEL)
    write("front.py", "from travel import book_trip\nurgent = book_trip.options(version='2')\n")
    loaded = load_app("front.py:book_trip")
    assert loaded.app is load_app("travel.py").app
    urgent = load_app("front.py:urgent")
    assert urgent.app is loaded.app
    assert urgent.orchestrator is not None
    assert urgent.orchestrator.version == "2"


def test_of_two_apps_the_named_one_or_that_of_the_orchestrator_is_taken(write: Write) -> None:
    write("travel.py", TRAVEL + "\nother = App()\nagain = app\n")
    other = load_app("travel.py:other").app
    assert not other.orchestrators
    assert load_app("travel.py:book_trip").app is load_app("travel.py:app").app is not other
    assert refusal("travel.py") == (
        "travel.py holds several apps; name one of them: travel.py:app, travel.py:other"
    )


def test_of_two_apps_with_orchestrators_of_one_name_that_of_the_function_is_taken(
    write: Write,
) -> None:
    other = """
other = App()

async def another(ctx: Context) -> None: ...

another_trip = other.orchestrator(name="book_trip")(another)
"""
    write("travel.py", TRAVEL + other)
    assert load_app("travel.py:another_trip").app is load_app("travel.py:other").app
    assert load_app("travel.py:book_trip").app is load_app("travel.py:app").app


def test_a_file_named_like_a_known_module_is_still_the_file(write: Write) -> None:
    import json

    write("json.py", TRAVEL)
    assert "book_trip" in load_app("json.py").app.orchestrators
    assert sys.modules["json"] is json


def test_a_file_is_imported_once(write: Write) -> None:
    write("travel.py", TRAVEL)
    assert load_app("travel.py").app is load_app("travel:app").app


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["travel.py:", ":app", ":"])
def test_half_a_name_is_refused(write: Write, target: str) -> None:
    assert "is not understood; write travel.py, pkg.module" in refusal(target)


def test_a_missing_file_is_refused_with_the_nearest_one(write: Write) -> None:
    write("travel.py", TRAVEL)
    assert refusal("travle.py") == "there is no file 'travle.py' (did you mean 'travel.py'?)"
    assert refusal("nowhere/travel.py:app") == "there is no file 'nowhere/travel.py'"
    assert refusal("C:travel_.py").startswith("there is no file 'C:travel_.py'")


@pytest.mark.parametrize("target", ["no_such_module", "no_such.module:app", "a b", ".x", ""])
def test_a_missing_module_is_refused(write: Write, target: str) -> None:
    assert "there is neither a file nor a module" in refusal(target)


def test_a_file_that_is_not_python_is_refused(write: Write) -> None:
    write("notes.txt", "hello")
    assert "notes.txt is not a Python file" in refusal("notes.txt")
    assert "./ is a folder; name a file in it" in refusal("./")
    write("broken.py", "def f(:\n")
    message = refusal("broken.py")
    assert message.startswith("broken.py cannot be imported, it is not valid Python:")
    assert "broken.py" in message
    assert "line 1" in message


def test_an_error_inside_the_file_shows_the_users_lines_only(write: Write) -> None:
    write("helper_of_broken.py", "def fail():\n    raise KeyError('x')\n")
    write("broken.py", "import helper_of_broken\n\nhelper_of_broken.fail()\n")
    for target in ("broken.py", "broken"):
        message = refusal(target)
        assert message.startswith(f"{target} cannot be imported: KeyError: 'x'\n")
        assert 'broken.py", line 3, in <module>' in message
        assert 'helper_of_broken.py", line 2, in fail' in message
        assert message.count("File ") == 2, message


def test_a_module_that_the_file_imports_and_nobody_has_is_named(write: Write) -> None:
    write("broken.py", "import no_such_thing\n")
    for target in ("broken.py", "broken"):
        message = refusal(target)
        assert f"{target} cannot be imported: ModuleNotFoundError" in message
        assert "import no_such_thing" in message


def test_a_file_that_failed_is_imported_anew_the_next_time(write: Write) -> None:
    write("travel.py", "raise ValueError\n")
    refusal("travel.py")
    write("travel.py", TRAVEL)
    assert load_app("travel.py:book_trip").orchestrator is not None


def test_a_file_that_ends_the_program_is_refused(write: Write) -> None:
    write("script.py", "import sys\nsys.exit(3)\n")
    assert "script.py ends the program while it is imported (SystemExit(3))" in refusal("script.py")


@pytest.mark.parametrize(
    "line",
    [
        "app.run(book_trip, 'Oslo')",
        "import asyncio, tenuto; asyncio.run(tenuto.Host(app, 'sqlite://').start())",
    ],
)
def test_a_file_that_runs_its_app_while_it_is_imported_is_refused(write: Write, line: str) -> None:
    write("script.py", f"{TRAVEL}\n{line}\n")
    assert 'under `if __name__ == "__main__":`' in refusal("script.py:book_trip")


def test_a_refused_registration_keeps_its_own_words(write: Write) -> None:
    write("travel.py", TRAVEL + "\n@app.orchestrator\nasync def no_context() -> None: ...\n")
    with pytest.raises(RegistrationError, match="first parameter must be the context"):
        load_app("travel.py")


def test_a_file_without_an_app_is_refused(write: Write) -> None:
    write("plain.py", "x = 1\n")
    assert refusal("plain.py") == ("plain.py holds no app; it needs `app = App()` at its top level")


def test_an_unknown_name_is_refused_with_the_nearest_one_and_the_list(write: Write) -> None:
    write("travel.py", TRAVEL)
    assert refusal("travel.py:book_tri") == (
        "travel.py has no 'book_tri' (did you mean 'book_trip'?); "
        "orchestrators: book_trip, cancel_trip, CancelTrip; apps: app"
    )
    write("plain.py", "")
    assert refusal("plain.py:zzz") == ("plain.py has no 'zzz'; orchestrators: none; apps: none")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("book", "an activity; only orchestrators can be started"),
        ("helper", "a plain function; decorate it with @app.orchestrator"),
        ("noted", "a function that events start, and nothing else; serve its app, and it runs for"),
        ("LIMIT", "neither an app nor an orchestrator, it is of type int"),
        ("Trip", "neither an app nor an orchestrator, it is a class"),
    ],
)
def test_a_name_of_something_else_is_refused_saying_what_it_is(
    write: Write, name: str, what: str
) -> None:
    write("travel.py", TRAVEL)
    said = refusal(f"travel.py:{name}")
    assert f"travel.py:{name} is {what}" in said
    assert "; orchestrators: book_trip" in said


def test_an_orchestrator_without_its_app_is_refused(write: Write) -> None:
    write("travel.py", TRAVEL + "\nalone = book_trip\ndel app\n")
    assert "its app is not there" in refusal("travel.py:alone")


def test_a_registered_name_of_two_apps_is_refused(write: Write) -> None:
    other = "\nother = App()\nother.orchestrator(name='CancelTrip')(helper_two)\n"
    write("travel.py", TRAVEL + "\nasync def helper_two(ctx: Context) -> None: ...\n" + other)
    assert "several apps of travel.py have an orchestrator" in refusal("travel.py:CancelTrip")
