"""A real PgBouncer before a server of PostgreSQL, for the length of a block."""

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support import leftovers
from tests.support.postgres import Postgres

PGBOUNCER: Final = "/usr/sbin/pgbouncer"

_CONFIGURATION: Final = """
[databases]
* = host=127.0.0.1 port={behind}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
server_lifetime = 2
"""


@contextmanager
def pgbouncer(behind: Postgres, mode: str = "transaction") -> Iterator[int]:
    """The port of a pooler.

    Args:
        behind: The server, in whose folder its files go.
        mode: ``transaction`` or ``session``.
    """
    place = behind.folder / f"pooler-{mode}-{uuid.uuid4().hex[:8]}"  # which its user can read
    place.mkdir()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    (place / "users").write_text('"postgres" ""\n')
    text = _CONFIGURATION.format(behind=behind.port, port=port, folder=place, mode=mode)
    (place / "pgbouncer.ini").write_text(text)
    as_user: dict[str, Any] = {}
    if os.getuid() == 0:  # which it refuses to run as
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [PGBOUNCER, str(place / "pgbouncer.ini")], stdout=log, stderr=log, **as_user
        )
    leftovers.SERVERS.add(process.pid)
    try:
        _until_listening(port, process, place / "log")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        leftovers.SERVERS.discard(process.pid)


def _until_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while True:
        assert process.poll() is None, f"PgBouncer has ended: {log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
