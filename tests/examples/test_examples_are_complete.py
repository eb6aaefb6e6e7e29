"""Each example has a page, and what the pages tell people to type can be typed."""

import importlib
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from tenuto import OrchestratorFunction
from tenuto.cli.command import tenuto as command_line
from tests.integration.conftest import OpenHost

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted({file.parent for file in EXAMPLES.glob("*/*") if file.suffix in {".py", ".md"}})
PAGES = [page for place in (EXAMPLES, *FOLDERS) if (page := place / "README.md").exists()]
# tests/integration/test_demo.py; tests/interop: the trip booking three times, and the flows
TESTED_ELSEWHERE = {"azure", "trip_booking"}

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The lines of code blocks, cut into words; output is among them."""
    found = []
    for block in _BLOCK.findall(page.read_text("utf-8")):
        for line in block.splitlines():
            try:
                words = shlex.split(line.replace("$PWD", str(EXAMPLES)))
            except ValueError:
                continue  # output with a lone quote
            if words[:1] and not line.startswith(" "):
                found.append(words[words.index("&&") + 1 :] if "&&" in words else words)
    return found


def calls_of_tenuto(page: Path) -> list[list[str]]:
    return [words for words in commands(page) if words[:1] == ["tenuto"]]


def runs(page: Path) -> list[list[str]]:
    return [words for words in commands(page) if words[:2] == ["tenuto", "run"]]


CALLS = [words for page in PAGES for words in calls_of_tenuto(page)]
RUNS = [(page.parent.name, words) for page in PAGES for words in runs(page)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_example_has_a_page_code_and_a_test(folder: Path) -> None:
    page = folder / "README.md"
    assert page.is_file()
    assert page.read_text("utf-8").startswith("# ")
    assert list(folder.rglob("*.py"))
    assert commands(page)
    test = ROOT / "tests" / "examples" / f"test_{folder.name}.py"
    assert test.is_file() or folder.name in TESTED_ELSEWHERE


def test_the_table_lists_each_example_once_and_no_other() -> None:
    table = (EXAMPLES / "README.md").read_text("utf-8")
    listed = re.findall(r"^\|[^|]*\| \[(\w+)\]\((\w+)/README\.md\) \|", table, re.MULTILINE)
    assert all(name == target for name, target in listed)
    assert sorted(name for name, _ in listed) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_what_a_page_names_of_the_examples_exists(page: Path) -> None:
    named = re.findall(r"examples/[\w./-]*\w", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_each_call_of_tenuto_is_one_that_the_command_line_takes(words: list[str]) -> None:
    command: click.Command = command_line
    rest = words[1:]
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    command.make_context("tenuto", rest)  # reads the arguments, and runs nothing


@pytest.mark.parametrize(
    "folder", [one for one in FOLDERS if one.name not in TESTED_ELSEWHERE], ids=lambda one: one.name
)
def test_each_page_says_how_to_run_its_own_example(folder: Path) -> None:
    named = {word for words in commands(folder / "README.md") for word in words}
    assert any(re.match(rf"examples[/.]{folder.name}[/.]\w+", word) for word in named)


@pytest.mark.parametrize(("name", "words"), RUNS, ids=[f"{name}" for name, _ in RUNS])
def test_each_command_names_an_orchestrator_and_an_input_that_fits_it(
    name: str, words: list[str]
) -> None:
    file, _, function = words[2].partition(":")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    orchestrator = getattr(module, function)
    assert isinstance(orchestrator, OrchestratorFunction)
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert set(options) <= {"--id", "--input", "--storage"}
    orchestrator.signature.decode_arguments(options.get("--input"))


@pytest.mark.parametrize("name", ["mass_mail", "order_saga", "word_count"])
async def test_the_outcome_that_a_page_shows_is_the_one_that_its_commands_have(
    name: str, folder: Path, open_host: OpenHost
) -> None:
    """Of the examples that need nobody to raise events and no real time to pass."""
    page = EXAMPLES / name / "README.md"
    shown = [json.loads(words) for words in outcomes(page)]
    assert shown
    module = importlib.import_module(f"examples.{name}.{name}")
    (folder / "examples").symlink_to(EXAMPLES)
    test = await open_host(module.app)
    made = []
    for words in runs(page):
        options = dict(zip(words[3::2], words[4::2], strict=True))
        orchestrator = getattr(module, words[2].partition(":")[2])
        arguments = orchestrator.signature.decode_arguments(options["--input"])
        handle = await test.start(orchestrator, *arguments, instance_id=options.get("--id"))
        status = await test.client.wait(handle.instance_id)
        # A file that is run by its name is a module of its own, not one of a package.
        text = json.dumps(status.output).replace(f"examples.{name}.", "")
        made.append(json.loads(text))
    assert [outcome for outcome in shown if outcome not in made] == []


def outcomes(page: Path) -> list[str]:
    """The last line of what ``tenuto run`` prints."""
    return re.findall(r"^completed in .*\n(\{.*\})$", page.read_text("utf-8"), re.MULTILINE)
