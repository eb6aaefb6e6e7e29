"""A host in a process of its own, for files in a folder: writes down what it is given.

Arguments: the store, the folder, the file to write to. A file whose name begins with ``deadly``
ends the process as ``kill -9`` does.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from tenuto import App, ArrivedFile, Host


def app_for(inbox: Path, log: Path) -> App:
    app = App()

    @app.files(inbox, settled=timedelta(milliseconds=100), concurrency=4)
    def arrived(file: ArrivedFile) -> None:
        with log.open("a") as lines:
            lines.write(f"{file.name} {file.size} {file.attempt}\n")
        if file.name.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)

    return app


async def main(store: str, inbox: str, log: str) -> None:
    async with Host(app_for(Path(inbox), Path(log)), storage=store):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
