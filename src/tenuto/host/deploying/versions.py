"""The folder of versions: what is there, which one runs, what came of each deployment.

Changed by one process alone, the server's parent; its child reads, and puts packages in.
"""

import contextlib
import filecmp
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Final

import msgspec

from tenuto.host.deploying.archive import unpack
from tenuto.host.deploying.options import DeploySettings
from tenuto.model.deployments import INTERRUPTED, ORIGINAL, Deployment, DeploymentList
from tenuto.model.errors import DeploymentError

_REMEMBERED: Final = 200
_VERSION: Final = re.compile(r"[0-9a-f]{16}")
_PRIVATE: Final = 0o700


class Versions:
    """The versions below a folder.

    Args:
        settings: Which folder, and how much.
    """

    def __init__(self, settings: DeploySettings) -> None:
        self._settings = settings
        self.folder: Path = Path(settings.folder).absolute()
        self._incoming = self.folder / "incoming"
        self._versions = self.folder / "versions"
        self._state_file = self.folder / "state.json"
        self.environments: Path = self.folder / "environments"
        """Where what versions require is installed."""

    def prepare(self) -> DeploymentList:
        """Make the folder, remove what a crash has left, and say what is there.

        Raises:
            DeploymentError: its state cannot be read, or the version that runs is gone.
        """
        for one in (self.folder, self._versions, self.environments):
            one.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(mode=_PRIVATE)
        for leftover in self._versions.glob("*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
        state = self.read()
        if state.runs != ORIGINAL and not (self._versions / state.runs).is_dir():
            raise DeploymentError(
                f"version {state.runs!r} should run and is not in {self._versions}; remove "
                f"{self._state_file} to start with the files of this folder"
            )
        for deployment in state.deployments:
            if not deployment.is_over:
                deployment.state = INTERRUPTED
                deployment.message = "the server ended meanwhile; what ran before it runs again"
        self.write(state)
        return state

    def read(self) -> DeploymentList:
        """What is there.

        Raises:
            DeploymentError: the file that says so is damaged.
        """
        try:
            state = msgspec.json.decode(self._state_file.read_bytes(), type=DeploymentList)
        except FileNotFoundError:
            state = DeploymentList()
        except (msgspec.MsgspecError, ValueError) as error:
            raise DeploymentError(f"{self._state_file} cannot be read: {error}") from None
        state.versions = self._there()
        return state

    def write(self, state: DeploymentList) -> None:
        """Keep it, whole or not at all."""
        state.deployments = state.deployments[-_REMEMBERED:]
        state.versions = self._there()
        beside = self._state_file.with_suffix(".part")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._state_file)
        _sync(self.folder)

    def code_of(self, version: str) -> Path:
        """The folder of a version.

        Raises:
            DeploymentError: it is not there; says which are.
        """
        if version not in self._there():
            there = ", ".join((ORIGINAL, *self._there()))
            raise DeploymentError(f"there is no version {version!r}; there are {there}")
        return self._versions / version

    def new_package(self) -> Path:
        """Where a package that comes in is written."""
        return self._incoming / f"{secrets.token_hex(8)}.zip"

    def unpacked(self, package: str) -> str:
        """Make a version of a package that came in, which is gone then.

        Args:
            package: Its name.

        Returns:
            The version.

        Raises:
            DeploymentError: it may not be unpacked; nothing is left of it.
        """
        archive = self._incoming / Path(package).name
        part = self._versions / f"{archive.stem}.part"
        try:
            version = unpack(archive, part, self._settings.unpacked_bytes)
            for root, _folders, _files in os.walk(part):
                _sync(Path(root))
            if (self._versions / version).exists():
                _mend(self._versions / version, part)
            else:
                part.rename(self._versions / version)
            _sync(self._versions)
        finally:
            archive.unlink(missing_ok=True)
            shutil.rmtree(part, ignore_errors=True)
        return version

    def forget(self, state: DeploymentList) -> None:
        """Delete the oldest versions beyond those to be kept; never one that is needed.

        Args:
            state: Which one runs, and which ran before.
        """
        needed = {state.runs, state.before}
        spare = [one for one in self._there() if one not in needed]
        latest = {one.version: one.number for one in state.deployments}
        spare.sort(key=lambda one: latest.get(one, 0))
        left = self._settings.keep - len(needed - {ORIGINAL, None})
        for one in spare[: max(0, len(spare) - left)]:
            shutil.rmtree(self._versions / one, ignore_errors=True)

    def begin(self, state: DeploymentList, deployment: Deployment) -> None:
        """Note a deployment that begins.

        Raises:
            OSError: it cannot be written; then it has not begun.
        """
        state.deployments.append(deployment)
        try:
            self.write(state)
        except OSError:
            state.deployments.remove(deployment)
            raise

    def _there(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(
                one.name for one in self._versions.iterdir() if _VERSION.fullmatch(one.name)
            )
        return []


def _mend(version: Path, part: Path) -> None:
    """See that a version that is there has all files of its package, as they are in it.

    What the app has written beside them stays.
    """
    for root, _folders, files in os.walk(part):
        for name in files:
            source = Path(root) / name
            place = version / source.relative_to(part)
            if place.is_file() and filecmp.cmp(source, place, shallow=False):
                continue
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            place.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            source.replace(place)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
