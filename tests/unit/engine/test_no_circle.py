"""The files of the engine import each other in one direction, types included."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import tenuto.engine

ROOT = Path(tenuto.engine.__file__).parent


def name_of(path: Path) -> str:
    parts = ("tenuto", "engine", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name for name in found if name and name.startswith("tenuto.engine")}


def test_no_file_of_the_engine_needs_itself() -> None:
    graph = {name_of(path): imports_of(path) for path in ROOT.rglob("*.py")}
    assert len(graph) > 30
    assert sum(map(len, graph.values())) > 100
    TopologicalSorter(graph).prepare()  # names the circle, if there is one
