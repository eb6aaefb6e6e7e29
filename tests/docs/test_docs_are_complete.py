"""Everything that people can set, call, read or run into stands in the docs."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

import tenuto.model.errors
from tenuto import App, Client
from tenuto.cli.command import tenuto as command_line
from tenuto.cli.group import LazyCommand
from tenuto.host.host import Host
from tenuto.host.server import Server
from tenuto.host.settings import DEFAULT, load_settings
from tenuto.host.settings import Settings as HostSettings
from tenuto.model.errors import SessionDiscarded, TenutoError
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.metrics import MetricsObserver

DOCS = Path(__file__).parents[2] / "docs"
MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def errors() -> Iterator[type[TenutoError]]:
    for _, kind in inspect.getmembers(tenuto.model.errors, inspect.isclass):
        if issubclass(kind, TenutoError):
            yield kind


def commands(command: click.Command, path: str = "tenuto") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            loaded = inner.load() if isinstance(inner, LazyCommand) else inner
            yield from commands(loaded, f"{path} {name}")


def test_every_setting_stands_in_the_docs_with_its_default() -> None:
    text = page("settings.md")
    sources = load_settings(environment={}, folder=DOCS).sources
    assert set(sources.values()) == {DEFAULT}
    for key in sources:
        assert f"`{key}`" in text, key
        variable = f"TENUTO_{key.replace('.', '_').upper()}"
        assert f"`{variable}`" in text, variable
    assert HostSettings().storage in text


def test_every_error_code_stands_in_the_docs() -> None:
    text = page("errors.md")
    for kind in errors():
        assert f"`{kind.code}`" in text, kind
        assert f"`{kind.__name__}`" in text, kind
    assert SessionDiscarded.__name__ in text


def test_codes_are_given_once() -> None:
    found = {(kind.code, kind.__name__) for kind in errors()}
    codes = [code for code, _ in found]
    assert len(codes) == len(set(codes))


def test_every_command_and_flag_stands_in_the_docs() -> None:
    text = page("command-line.md")
    for path, command in commands(command_line):
        assert f"`{path}" in text, path
        for parameter in command.params:
            for flag in parameter.opts:
                if flag.startswith("--") and flag not in {"--help", "--version"}:
                    assert flag in text, f"{path} {flag}"


async def test_every_route_stands_in_the_docs() -> None:
    text = page("http-api.md")
    settings = load_settings(environment={}, folder=DOCS, storage="sqlite://", http_port=0).values
    async with Server(App(), settings=settings) as server:
        for route in server.routes:
            assert f"`{route.method} {route.path}`" in text, (route.method, route.path)
            for parameter in route.operation.parameters:
                assert f"{parameter.name}`" in text, (route.path, parameter.name)


async def test_every_metric_stands_in_the_docs() -> None:
    text = page("operations.md")
    metrics = MetricsObserver(LogObserver(), version="0")
    async with Host(App(), "sqlite://", observer=metrics) as host:
        metrics.watch(host.engine)
        names = re.findall(r"^# TYPE (\S+) ", metrics.render().decode(), re.MULTILINE)
    assert len(names) > 15
    for name in names:
        assert f"`{name}`" in text, name


def links(path: Path) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        yield (path.parent / target).resolve()


def test_every_page_is_reached_from_the_first() -> None:
    reached, waiting = set[Path](), [DOCS / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached and path.suffix == ".md" and path.is_relative_to(DOCS):
            reached.add(path)
            waiting += links(path)
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_links_between_pages_lead_somewhere() -> None:
    for path in [*sorted(DOCS.rglob("*.md")), *sorted(DOCS.parent.glob("*.md"))]:
        for target in links(path):
            assert target.exists(), f"{path.name}: {target}"


def test_links_into_a_page_lead_to_a_heading() -> None:
    for path in sorted(DOCS.rglob("*.md")):
        found = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text(encoding="utf-8"))
        for name, heading in found:
            target = path.parent / name if name else path
            assert heading in headings(target), f"{path.name}: {name}#{heading}"


def headings(path: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_readme_and_the_page_of_limits_give_the_defaults() -> None:
    limits = HostSettings().limits
    readme = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    for text in (
        f"payload {in_bytes(limits.payload_bytes)}",
        f"history {limits.history_events:,} events and {in_bytes(limits.history_bytes)} per",
        f"{limits.actions_per_turn:,} actions and {in_bytes(limits.turn_bytes)} per turn",
        f"nesting {limits.nesting_depth} deep",
        f"{limits.open_descendants:,} unfinished descendants",
        f"{limits.generations_per_minute} continue-as-new generations",
    ):
        assert text in readme, text
    rows = page("limits.md").splitlines()
    for field in msgspec.structs.fields(limits):
        value = getattr(limits, field.name)
        shown = in_bytes(value) if field.name.endswith("_bytes") else f"{value:,}"
        assert any(f"| {shown} | `limits.{field.name}` |" in row for row in rows), field.name


def in_bytes(value: int) -> str:
    """A whole number of bytes in the largest unit that keeps it whole."""
    units = ((GIBIBYTE, "GiB"), (MEBIBYTE, "MiB"), (1024, "KiB"))
    size, unit = next((one for one in units if value % one[0] == 0), (1, "bytes"))
    return f"{value // size:,} {unit}"


def test_the_page_of_settings_gives_the_defaults() -> None:
    rows = {
        row.split("`")[1]: row for row in page("settings.md").splitlines() if row.startswith("| `")
    }
    settings = msgspec.to_builtins(HostSettings())
    for key in load_settings(environment={}, folder=DOCS).sources:
        value = settings
        for name in key.split("."):
            value = value[name]
        default = rows[key].split("|")[4]
        assert any(text in default for text in written(value)), (key, value, default)


def written(value: object) -> list[str]:
    """How a default may stand on a page."""
    if value is None or value in ([], (), {}):
        return ["none"]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, int | float):
        return [f"{value:,g}", f"{value:,.0f}", f"{value:g}", f"{value / MEBIBYTE:g} MiB",
                f"{value / 1024:g} KiB", f"{value / GIBIBYTE:g} GiB"]  # fmt: skip
    if isinstance(value, list | tuple):
        return [", ".join(f"`{one}`" for one in value)]
    return [str(value)]


def test_every_target_of_make_says_what_it_does_and_the_gates_stand_in_the_docs() -> None:
    makefile = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    said = set(re.findall(r"^([a-z-]+):.* ## \S", makefile, re.MULTILINE))
    assert targets - said == {"system-check"}, "which only others call"
    gates = {"system", "quick", "check", "test", "matrix", "lowest", "pythons", "faults", "soak"}
    named = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert gates <= named
    for file in ("CONTRIBUTING.md", "README.md", ".ci/run", "requirements/system.txt"):
        called = re.findall(
            r"^ *make ([a-z]+)|`make ([a-z-]+)`", (DOCS.parent / file).read_text(), re.MULTILINE
        )
        assert {one or other for one, other in called} <= targets, file


def test_operations_of_a_client_stand_on_its_page() -> None:
    text = page("client.md")
    operations = {name for name, _ in inspect.getmembers(Client, inspect.isfunction)}
    missing = {name for name in operations if not name.startswith("_") and f"`{name}(" not in text}
    assert not missing - {"close"}, missing


def test_the_pages_agree_on_how_many_connections_a_host_has() -> None:
    for name in ("many-hosts.md", "postgresql.md"):
        assert "A host has six connections" in page(name)
    assert "6 × hosts" in page("many-hosts.md")  # noqa: RUF001 - as it is written there
