"""Draws the steps: a living tree on a terminal, a line for each change anywhere else."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree
from steps import Instance, Step

from tenuto import RuntimeStatus


class View:
    """Shows instances as they are now. ``host`` says what the host is doing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.host = "starting"
        self.is_host_up = False
        self._began = time.time()
        self._live = Live(console=console, refresh_per_second=12) if console.is_terminal else None
        self._spinner = Spinner("dots")
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays, above the tree."""
        self.console.print(Text.assemble((f"{self._seconds():5.1f} s  ", "dim"), (text, style)))

    def show(self, tree: dict[str, Instance]) -> None:
        """Draw the tree anew, or say what is new in it."""
        if self._live is not None:
            self._live.update(self._drawn(tree))
            return
        for instance in tree.values():
            for step in instance.steps:
                self._say_once(instance, step)

    def _seconds(self) -> float:
        return time.time() - self._began

    # --- lines --------------------------------------------------------------------------------

    def _say_once(self, instance: Instance, step: Step) -> None:
        text = f"{_title(instance)}: {_words(step)}"
        if step.ended is not None and text not in self._said:
            self._said.add(text)
            self.say(text, "" if step.is_done else "red")

    # --- tree ---------------------------------------------------------------------------------

    def _drawn(self, tree: dict[str, Instance]) -> Group:
        header = Table.grid(expand=True)
        header.add_column()
        header.add_column(justify="right")
        style = "bold green" if self.is_host_up else "bold red"
        header.add_row(Text(f"host: {self.host}", style), Text(f"{self._seconds():.1f} s", "dim"))
        if not tree:
            return Group(header)
        root = next(iter(tree.values()))
        trunk = Tree(self._instance_line(root), guide_style="dim")
        self._grow(trunk, root, tree)
        return Group(header, trunk)

    def _grow(self, branch: Tree, instance: Instance, tree: dict[str, Instance]) -> None:
        for child_id in instance.children:
            if child_id in tree:
                child = tree[child_id]
                self._grow(branch.add(self._instance_line(child)), child, tree)
        for step in instance.steps:
            branch.add(self._line(_words(step), _state(step), step.began, step.ended))

    def _instance_line(self, instance: Instance) -> Table:
        state = "done" if instance.status is RuntimeStatus.COMPLETED else "running"
        return self._line(_title(instance), state, None, None, "bold")

    def _line(
        self, words: str, state: str, began: float | None, ended: float | None, style: str = ""
    ) -> Table:
        line = Table.grid(padding=(0, 1))
        line.add_row(self._mark(state), Text(words, style), Text(_duration(began, ended), "dim"))
        return line

    def _mark(self, state: str) -> Spinner | Text:
        if state == "done":
            return Text("✔", "green")
        if state == "failed":
            return Text("✘", "red")
        if not self.is_host_up:
            return Text("⏸", "yellow")
        return self._spinner


def _title(instance: Instance) -> str:
    return f"{instance.name} {instance.subject}".rstrip()


def _state(step: Step) -> str:
    if step.ended is None:
        return "running"
    return "done" if step.is_done else "failed"


def _words(step: Step) -> str:
    text = f"{step.name} {step.subject}".strip()
    if step.attempts > 1:
        text = f"{text} (attempt {step.attempts})"
    if step.ended is not None and not step.is_done:
        text = f"{text}: {step.error}"
    return text


def _duration(began: float | None, ended: float | None) -> str:
    if began is None:
        return ""
    return f"{(ended or time.time()) - began:.1f} s"
