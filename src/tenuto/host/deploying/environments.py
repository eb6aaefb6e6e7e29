"""What a version requires, installed in an environment of its own; once for the same requirements.

The environment sees the server's own packages behind its own, so that Tenuto in it is the server's.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import site
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import tenuto
from tenuto.model.errors import DeploymentError

_TENUTO: Final = re.compile(r"tenuto(?![\w.-])", re.IGNORECASE)
_ELSEWHERE: Final = re.compile(r"(-r|-c|-e|--requirement|--constraint|--editable|\.|file:)")
_DIGITS: Final = 16
_LINES: Final = 15
_MOST_SAID: Final = 16 * 1024 * 1024


class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        output: The last that it has written to stdout.
        errors: The last lines that it has written to stderr.
    """

    def __init__(self, code: int, output: bytes, errors: bytes) -> None:
        self.code = code
        self.output = output
        self.errors: str = "\n".join(errors.decode(errors="replace").strip().splitlines()[-_LINES:])

    @property
    def how(self) -> str:
        """How it ended, for people, with what it has said last."""
        how = f"its process ended with exit code {self.code}"
        if self.code < 0:
            number = -self.code
            known = {one.value: f" ({one.name})" for one in signal.Signals}
            how = f"its process was ended by signal {number}{known.get(number, '')}"
        return f"{how}:\n{self.errors}" if self.errors else f"{how}, and said nothing"


async def ended(
    words: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end.

    Args:
        words: The command.
        seconds: How long it may take.
        environment: Its variables; those of this process by default.

    Raises:
        TimeoutError: it takes longer; it was killed, with all that it has begun.
    """
    # Files and not pipes: what it has begun may hold a pipe open, and print without end.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        finally:
            with suppress(ProcessLookupError):  # with all that it has left running
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        assert process.returncode is not None
        return Ended(process.returncode, _end_of(output), _end_of(errors))


def _end_of(file: IO[bytes]) -> bytes:
    """The last of what was written."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_SAID))
    return file.read()


def required_by(folder: Path) -> list[str]:
    """The lines that a version requires, but for Tenuto itself, which is the server's.

    Raises:
        DeploymentError: it cannot be read, or leads to other files.
    """
    listed = folder / "requirements.txt"
    try:
        if listed.is_file():
            lines = listed.read_text(encoding="utf-8").splitlines()
        elif (project := folder / "pyproject.toml").is_file():
            lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
        else:
            lines = []
    except KeyError:
        lines = []
    except (OSError, ValueError, TypeError) as error:
        raise DeploymentError(f"what the package requires cannot be read: {error}") from None
    stripped = [line.strip() for line in lines]
    for line in stripped:
        if _ELSEWHERE.match(line):
            raise DeploymentError(
                f"the package requires {line!r}, which leads to a file; name packages themselves"
            )
    return [line for line in stripped if line and line[0] != "#" and _TENUTO.match(line) is None]


async def interpreter_for(folder: Path, environments: Path, seconds: float) -> str:
    """The Python that runs a version; what it requires is installed when it is not yet.

    Args:
        folder: The version's.
        environments: Where environments are kept.
        seconds: How long to install may take.

    Raises:
        DeploymentError: it cannot be installed; with the last lines of why.
    """
    lines = required_by(folder)
    if not lines:
        return sys.executable
    ready = environments / _name_for(lines)
    python = ready / "bin" / "python"
    if not (ready / "ready").exists():
        shutil.rmtree(ready, ignore_errors=True)
        try:
            await _make(ready, python, lines, seconds)
        except BaseException:
            shutil.rmtree(ready, ignore_errors=True)
            raise
    return str(python)


def forget_unneeded(environments: Path, folders: Iterable[Path]) -> None:
    """Delete the environments that none of these versions needs.

    Args:
        environments: Where environments are kept.
        folders: The versions'.
    """
    needed = set[str]()
    for folder in folders:
        with suppress(DeploymentError):
            needed.add(_name_for(required_by(folder)))
    for one in environments.iterdir():
        if one.name not in needed:
            shutil.rmtree(one, ignore_errors=True)


def _name_for(lines: list[str]) -> str:
    digest = hashlib.sha256("\n".join([sys.version, sys.executable, *lines]).encode())
    return digest.hexdigest()[:_DIGITS]


async def _make(ready: Path, python: Path, lines: list[str], seconds: float) -> None:
    await asyncio.to_thread(venv.create, ready, symlinks=True, with_pip=False)
    listed = ready / "requirements.txt"
    listed.write_text("\n".join(lines), encoding="utf-8")
    uv = shutil.which("uv")
    words = (
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        if uv is None
        else [uv, "pip", "install", "--quiet", "--python", str(python)]
    )
    try:
        done = await ended([*words, "-r", str(listed)], seconds)
    except TimeoutError:
        raise DeploymentError(
            f"what the package requires was not installed in {seconds:g} s (deploy.seconds)"
        ) from None
    if done.code:
        raise DeploymentError(f"what the package requires cannot be installed:\n{done.errors}")
    [packages] = (ready / "lib").glob("python*/site-packages")
    if (packages / "tenuto").exists():
        raise DeploymentError("what the package requires brings a Tenuto; the server has its own")
    # Behind what was just installed, which so comes first.
    home = str(Path(tenuto.__file__).parents[1])
    theirs = dict.fromkeys([home, *site.getsitepackages()])
    (packages / "zz_of_the_server.pth").write_text("\n".join(theirs), encoding="utf-8")
    (ready / "ready").touch()
