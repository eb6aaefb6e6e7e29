"""A real nginx in front of a server, with everything of its own below one folder."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2

from tests.support.ports import held_port

NGINX: Final = "/usr/sbin/nginx"

_CONFIGURATION: Final = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {behind};
            {lines}
        }}
    }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, behind: str, *lines: str) -> AsyncIterator[str]:
    """The address of a proxy.

    Args:
        folder: Where its files go.
        behind: The server, as ``proxy_pass`` wants it: ``http://127.0.0.1:7071``.
        *lines: What else stands in its configuration of the proxy.
    """
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - a moment
    with held_port() as port, (folder / "output").open("w") as output:
        text = _CONFIGURATION.format(
            folder=folder, port=port, behind=behind, lines="\n            ".join(lines)
        )
        (folder / "nginx.conf").write_text(text)
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: ASYNC220 - at once
        address = f"http://127.0.0.1:{port}"
        try:
            await answers(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(10)


async def answers(
    address: str,
    process: "subprocess.Popen[bytes] | subprocess.Popen[str]",
    transport: httpx2.AsyncHTTPTransport | None = None,
) -> None:
    """Wait until a server answers, whatever it says; one that has ended never does."""
    async with httpx2.AsyncClient(transport=transport, timeout=20) as http:
        while True:
            assert process.poll() is None, f"the server at {address} has ended"
            try:
                await http.get(address)
            except httpx2.TransportError:
                await asyncio.sleep(0.02)
            else:
                return
