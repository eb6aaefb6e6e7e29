"""Books two trips, kills the host in the middle with SIGKILL, starts it again, checks the books.

    make demo

What runs is ``travel.py``, in a process of its own. This script only starts it, kills it, and
watches: it reads the store as any other process may, beside the host and while there is none.
Leaves no files behind, unless a folder for them is named: ``demo.py FOLDER``. Then its last words
are how to look at them in a browser.
"""

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ledger
from rich.console import Console
from rich.panel import Panel
from steps import Instance, read_tree
from travel import INSTANCE_ID
from verdict import examine
from view import View

from tenuto import Client, SettingsError, StorageError, TenutoError

TRAVEL = Path(__file__).with_name("travel.py")
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
DEAD_SECONDS = 2.0


class HostFailedError(Exception):
    """The host ended in a way that the demo did not mean."""


class Demo:
    """One performance, in a folder of its own."""

    def __init__(self, folder: Path, view: View) -> None:
        self.folder = folder
        self.view = view
        self.tree: dict[str, Instance] = {}
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    async def perform(self) -> str:
        """Run, kill, run again; returns what the host printed at the end."""
        host = self._start_host()
        try:
            async with Client.open(await self._wait_for_store(host)) as client:
                while not self._is_in_the_middle():
                    await self._look(client)
                    if host.poll() is not None:
                        raise HostFailedError("the host ended before it could be killed")
                self._kill(host)
                for _ in range(round(DEAD_SECONDS / POLL_SECONDS)):
                    await self._look(client)
                host = self._start_host()
                while host.poll() is None:
                    await self._look(client)
                await self._look(client)
        finally:
            if host.poll() is None:
                host.kill()
            output, errors = host.communicate()
        if host.returncode != 0:
            raise HostFailedError(f"the host ended with exit code {host.returncode}:\n{errors}")
        return output

    def _start_host(self) -> subprocess.Popen[str]:
        host = subprocess.Popen(
            [sys.executable, str(TRAVEL)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        self.view.host = f"running as process {host.pid}"
        self.view.is_host_up = True
        self.view.say(f"the host runs as process {host.pid}", "bold green")
        return host

    async def _wait_for_store(self, host: subprocess.Popen[str]) -> str:
        """The URL of the store, once the host has made it; its file is there a bit earlier."""
        url = f"sqlite:///{self.folder / 'tenuto.db'}"
        while True:
            self._check_patience()
            try:
                async with Client.open(url):
                    return url
            except (SettingsError, StorageError):
                if host.poll() is not None:
                    raise
                await asyncio.sleep(POLL_SECONDS)

    async def _look(self, client: Client) -> None:
        """Read the store and draw what it says."""
        self._check_patience()
        self.tree = {one.instance_id: one async for one in read_tree(client, INSTANCE_ID)}
        self.view.show(self.tree)
        await asyncio.sleep(POLL_SECONDS)

    def _is_in_the_middle(self) -> bool:
        """Whether a flight is being retried and a booking is not in history yet.

        That is the worst moment for a crash: the booking has happened, and nobody has noted it.
        """
        steps = [step for instance in self.tree.values() for step in instance.steps]
        noted = {step.key for step in steps if step.is_done}
        is_cut = any(entry.key not in noted for entry in ledger.entries(self.folder))
        return is_cut and any(step.attempts > 1 for step in steps)

    def _kill(self, host: subprocess.Popen[str]) -> None:
        host.kill()
        host.communicate()
        self.view.host = "killed"
        self.view.is_host_up = False
        self.view.say(f"kill -9 {host.pid}: no host, only a file on disk", "bold red")

    def _check_patience(self) -> None:
        if time.monotonic() > self._deadline:
            raise HostFailedError(f"not done after {PATIENCE_SECONDS:.0f} seconds")


def judge(console: Console, tree: dict[str, Instance], folder: Path) -> bool:
    """Print what holds and what does not; whether everything does."""
    entries = ledger.entries(folder)
    findings = examine(tree, entries)
    for finding in findings:
        mark = "[green]✔[/]" if finding.holds else "[bold red]✘ NOT TRUE:[/]"
        console.print(f" {mark} {finding.claim}", highlight=False)
    repeated = [entry.what for entry in entries if entry.requests > 1]
    if repeated:
        console.print(
            f"   Asked for again after the crash, recognised by the key: {', '.join(repeated)}.",
            style="dim",
            highlight=False,
        )
    passed = all(finding.holds for finding in findings)
    verdict = "everything finished, nothing was booked twice" if passed else "the books differ"
    console.print(f"\nVerdict: {verdict}.", style="bold green" if passed else "bold red")
    return passed


def invite(console: Console, folder: Path) -> None:
    """Print how to see the trips in a browser: a server on the same store, until Ctrl-C."""
    words = [str(Path(sys.executable).with_name("tenuto")), "start", str(TRAVEL), "--open"]
    words += ["--storage", f"sqlite:///{folder / 'tenuto.db'}"]
    console.print(
        f"\nServe them: {shlex.join(map(_short, words))}\nlook at it: http://127.0.0.1:7071/",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _short(word: str) -> str:
    """A path as it is typed here: relative, where it lies below this folder."""
    return word.removeprefix(f"{Path.cwd()}{os.sep}")


def main(arguments: list[str]) -> int:
    """Perform in the named folder, or in one that goes away."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tenuto-demo-") as temporary:
        folder = Path(arguments[0]) if arguments else Path(temporary)
        try:
            with View(console) as view:
                demo = Demo(folder, view)
                report = asyncio.run(demo.perform())
        except (HostFailedError, TenutoError) as error:
            console.print(f"The demo failed: {error}", style="bold red", markup=False)
            return 1
        except KeyboardInterrupt:
            return 130
        console.print(Panel(report.rstrip(), title="expense report", expand=False))
        passed = judge(console, demo.tree, folder)
        if arguments:
            invite(console, folder)
        return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
