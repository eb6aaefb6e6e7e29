"""A host whose function forks. What the children write tells what becomes of them.

Argument: ``loop`` when the child is to come back to the host's loop, ``thread`` when it lives on in
a function in a thread. Prints the port, then the child's pid, and waits to be killed.
"""

import asyncio
import os
import sys
import time

from tenuto import App, QueueMessage
from tenuto.host.server import Server
from tenuto.host.settings import Settings
from tenuto.http.options import HttpSettings

app = App()


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def live_on(pid: int) -> None:
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    tell(f"child {pid}")


@app.queue("loop")
async def in_loop(_message: QueueMessage) -> None:
    pid = os.fork()
    if pid:
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")


@app.queue("thread")
def in_thread(_message: QueueMessage) -> None:
    live_on(os.fork())


async def main(queue: str) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with Server(app, settings=settings) as server:
        tell(f"port {server.url.rpartition(':')[2]}")
        await server.host.client.enqueue(queue, 1)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
