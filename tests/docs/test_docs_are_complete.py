"""Everything that people can set, call, read or run into stands in the docs."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import tenuto.http.errors
import tenuto.model.errors
from tenuto import App
from tenuto.cli.command import tenuto as command_line
from tenuto.cli.group import LazyCommand
from tenuto.host.server import Server
from tenuto.host.settings import DEFAULT, load_settings
from tenuto.host.settings import Settings as HostSettings
from tenuto.model.errors import SessionDiscarded, TenutoError

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def everything() -> str:
    pages = [path for path in sorted(DOCS.rglob("*.md")) if "decisions" not in path.parts]
    return "\n".join(path.read_text(encoding="utf-8") for path in pages)


def errors() -> Iterator[type[TenutoError]]:
    for module in (tenuto.model.errors, tenuto.http.errors):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, TenutoError) and kind.__module__ == module.__name__:
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


@pytest.mark.asyncio
async def test_every_route_stands_in_the_docs() -> None:
    text = page("http-api.md")
    settings = load_settings(environment={}, folder=DOCS, storage="sqlite://", http_port=0).values
    async with Server(App(), settings=settings) as server:
        for route in server.routes:
            assert f"`{route.method} {route.path}`" in text, (route.method, route.path)


def test_every_metric_stands_in_the_docs() -> None:
    from tenuto.telemetry.metrics import METRICS

    text = page("operations.md")
    for name in METRICS:
        assert f"`{name}`" in text, name


def test_every_page_is_reached_from_the_first() -> None:
    text = page("README.md")
    for path in sorted(DOCS.rglob("*.md")):
        relative = path.relative_to(DOCS).as_posix()
        if relative != "README.md" and not relative.startswith("decisions/"):
            assert f"({relative})" in text, relative


def test_links_between_pages_lead_somewhere() -> None:
    import re

    for path in sorted(DOCS.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
