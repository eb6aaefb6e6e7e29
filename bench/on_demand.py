"""What a server that is there on demand costs asleep, and how soon it answers.

``python -m bench.on_demand [WAKES] [SECONDS]``: so many calls to a server that sleeps, and so many
seconds of sleep.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

_APP: Final = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def greeting(ctx: Context, name: str) -> str:
    return f"Hello {name}!"
"""
_START: Final = "/runtime/webhooks/durabletask/orchestrators/greeting"
_PATIENCE_SECONDS: Final = 60.0


class _Server:
    """A server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "travel.py").write_text(_APP)
        (folder / "tenuto.toml").write_text("[on_demand]\nidle_seconds = 0.5\n")
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tenuto", "serve-on-demand", "travel.py", "--port", "0"],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        return str(re.findall(r"requests on ([^\s,]+)", self.log)[0])

    def until_asleep(self, times: int) -> None:
        last = time.monotonic() + _PATIENCE_SECONDS
        while self.log.count("asleep; ") < times:
            if time.monotonic() > last:
                raise TimeoutError(self.log)
            time.sleep(0.01)

    def figure(self, file: str, pattern: str) -> list[int]:
        """Numbers that Linux tells of the small process."""
        text = Path(f"/proc/{self.process.pid}/{file}").read_text()
        found = re.search(pattern, text)
        if found is None:
            raise ValueError(text)
        return [int(one) for one in found.groups()]


def main() -> None:
    """Measure, and print."""
    wakes, seconds = (int(one) for one in (*sys.argv[1:], *("10", "60")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        server = _Server(Path(folder))
        try:
            server.until_asleep(1)
            answers = []
            for count in range(wakes):
                began = time.perf_counter()
                request = urllib.request.Request(f"{server.url}{_START}", b'"Ada"', method="POST")
                with urllib.request.urlopen(request):
                    answers.append(time.perf_counter() - began)
                server.until_asleep(count + 2)
            starts = [int(one) / 1000 for one in re.findall(r"awake after (\d+) ms", server.log)]
            ticks = sum(server.figure("stat", r"\) (?:\S+ ){11}(\d+) (\d+)"))
            time.sleep(seconds)
            used = sum(server.figure("stat", r"\) (?:\S+ ){11}(\d+) (\d+)")) - ticks
            [resident] = server.figure("status", r"VmRSS:\s+(\d+) kB")
            opened = [
                str(one.readlink()) for one in Path(f"/proc/{server.process.pid}/fd").iterdir()
            ]
            print(f"asleep: {resident / 1024:.1f} MiB, {used * 10} ms of processor in {seconds} s")
            print(f"store files open: {sum('tenuto.db' in one for one in opened)}")
            for name, found in (("start to serving", starts), ("call to answer", answers)):
                middle, worst = statistics.median(found), max(found)
                print(f"{name}: min {min(found):.3f}, median {middle:.3f}, max {worst:.3f} s")
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
