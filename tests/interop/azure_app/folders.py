"""Folders of apps, as small as they can be."""

import json
import venv
from pathlib import Path

from tenuto.interop.azure_app.folder.app_folder import AppFolder, read_app_folder

PYTHON_APP = """
import azure.functions as func

app = func.FunctionApp()


@app.route(route="hello")
def hello(req: func.HttpRequest) -> str:
    return "hello"
"""
NODE_APP = "app.http('hello', { handler: () => ({ body: 'hello' }) });\n"
NODE_PACKAGE = {
    "main": "src/functions/*.js",
    "dependencies": {"@azure/functions": "^4.5.0", "durable-functions": "^3.1.0"},
}


def write(folder: Path, files: dict[str, object]) -> Path:
    """Make files; what is no text is written as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def python_app(folder: Path, **files: object) -> Path:
    """A Python app; ``host`` and ``local`` are the contents of its files of settings."""
    return write(folder, {"function_app.py": PYTHON_APP, **_named(files)})


def node_app(folder: Path, **files: object) -> Path:
    """A JavaScript app, without its packages."""
    named = {"package.json": NODE_PACKAGE, "src/functions/hello.js": NODE_APP, **_named(files)}
    return write(folder, named)


def read(folder: Path, **environment: str) -> AppFolder:
    """Read a folder in an environment that holds nothing else."""
    return read_app_folder(folder, environment)


def _named(files: dict[str, object]) -> dict[str, object]:
    names = {"host": "host.json", "local": "local.settings.json"}
    return {"host.json": {"version": "2.0"}} | {
        names.get(name, name): content for name, content in files.items()
    }


def environment(folder: Path, **packages: str) -> Path:
    """A virtual environment in which these packages seem to be installed."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    installed(site, **packages)
    return folder


def installed(site: Path, **packages: str) -> None:
    """What pip leaves behind of a package: its files, and what says its version."""
    for name, version in packages.items():
        metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        write(site, {f"{name}-{version}.dist-info/METADATA": metadata})
    if "azure_functions" in packages:
        write(site, {"azure/functions/__init__.py": "raise RuntimeError('imported')"})


def program(path: Path, text: str) -> Path:
    """A program of these lines of a shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def node_that_says(folder: Path, version: str) -> Path:
    """A node of a version that is not on this machine."""
    return program(folder / "node", f"""echo '{{"version": "{version}"}}'""")


def node_packages(folder: Path, **versions: str) -> None:
    """What npm leaves behind of packages: what says their versions."""
    names = {"functions": "@azure/functions", "durable": "durable-functions"}
    for short, version in versions.items():
        path = f"node_modules/{names[short]}/package.json"
        write(folder, {path: {"version": version}})
