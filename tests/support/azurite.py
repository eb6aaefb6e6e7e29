"""Azure Storage on this machine: a real Azurite, in memory, on free ports.

One for all tests of a process: a test takes names of its own (queues, containers, tables, a task
hub). It ends with the process that started it, however that ends.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support import leftovers
from tests.support.azure_programs import NODE, ROOT

__all__ = ["ACCOUNT", "KEY", "Azurite", "azurite", "running_azurite"]

PROGRAM: Final = (
    ROOT / ".venvs" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
)

ACCOUNT: Final = "devstoreaccount1"
KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Of every emulator: both are published."""

# Ends the emulator when its input does: when whoever started it is gone, also after a kill.
_ENDS_WITH_ITS_INPUT: Final = (
    "data:text/javascript,process.stdin.resume().on('end',()=>process.exit())"
)
_LISTENS: Final = re.compile(r"Azurite (\w+) service is successfully listening at \S+:(\d+)")


@dataclass(frozen=True)
class Azurite:
    """Where one listens.

    Args:
        blob_port: Of blobs.
        queue_port: Of queues.
        table_port: Of tables.
    """

    blob_port: int
    queue_port: int
    table_port: int

    @property
    def connection_string(self) -> str:
        """What clients and settings take."""
        ports = {
            "BlobEndpoint": self.blob_port,
            "QueueEndpoint": self.queue_port,
            "TableEndpoint": self.table_port,
        }
        services = "".join(
            f"{name}=http://127.0.0.1:{port}/{ACCOUNT};" for name, port in ports.items()
        )
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{services}"


@contextmanager
def running_azurite() -> Iterator[Azurite]:
    """One of a test's own, which it may end."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: run `make azurite`"
    command = [str(NODE), "--import", _ENDS_WITH_ITS_INPUT, str(PROGRAM)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield _listening(process)
        finally:
            process.kill()


def _listening(process: "subprocess.Popen[str]") -> Azurite:
    """Its ports, when all of its services answer. Silent afterwards: its pipe never fills."""
    assert process.stdout is not None
    said: list[str] = []
    ports: dict[str, int] = {}
    while len(ports) < 3:
        line = process.stdout.readline()
        assert line, "Azurite has ended:\n" + "".join(said)
        said.append(line)
        if found := _LISTENS.search(line):
            ports[found[1]] = int(found[2])
    return Azurite(ports["Blob"], ports["Queue"], ports["Table"])


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The one of this process."""
    before = {one.pid for one in leftovers.descendants()}
    with running_azurite() as one:
        own = {one.pid for one in leftovers.descendants()} - before
        leftovers.SERVERS.update(own)
        yield one
    leftovers.SERVERS.difference_update(own)
