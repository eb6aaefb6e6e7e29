"""How a run is shown while it goes: a live picture, plain lines, or not at all."""

from collections.abc import Callable
from typing import Final, Protocol, TextIO

import msgspec
from msgspec import Struct, field
from rich.console import Console, Group
from rich.highlighter import JSONHighlighter
from rich.live import Live
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.instances.documents import encoded, instance_document
from tenuto.cli.picture.drawing import STYLES, Sheet, bar_for, draw
from tenuto.cli.picture.items import Item, folded, item_of_run, state_of
from tenuto.cli.picture.progress import Progress
from tenuto.cli.running.stopping import stop_key
from tenuto.insight.steps import Run
from tenuto.insight.wording import duration, failure_lines, moment, visible
from tenuto.model.payload.opaque import json_text, reason_of, shown
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_FRAME_SECONDS: Final = 0.125
_LAST_ROWS: Final = 100
"""Lines of the picture that stays."""


def run_foot() -> str:
    """The line below a run."""
    return f"{stop_key()} stops it; it can go on later"


def watch_foot() -> str:
    """The line below a run of somebody else."""
    return f"{stop_key()} stops watching; it goes on"


class Heading(Struct, frozen=True, kw_only=True):
    """What is said before a run.

    Attributes:
        storage: The store's URL.
        is_default_storage: Whether nobody chose it.
        instance_id: The instance.
        since: When it was started; None when it is new.
        is_host: Whether ``storage`` is the address of a host instead.
        known: What to add when it is not new.
        foot: The line below a live picture.
    """

    storage: str
    is_default_storage: bool
    instance_id: str
    since: Microseconds | None
    is_host: bool = False
    known: str = "; not started anew"
    foot: str = field(default_factory=run_foot)

    def lines(self) -> list[str]:
        """As text."""
        store = " (the default; --storage chooses another)" if self.is_default_storage else ""
        known = "" if self.since is None else f" (there since {moment(self.since)}{self.known})"
        place = "host " if self.is_host else "store"
        return [f"{place}     {self.storage}{store}", f"instance  {self.instance_id}{known}"]


class View(Protocol):
    """Shows a run."""

    @property
    def frame_seconds(self) -> float | None:
        """How often it must be shown while nothing happens; None for never."""

    def begin(self, heading: Heading) -> None:
        """What is going to run."""

    def show(self, run: Run, now: Microseconds) -> None:
        """The run as it is now."""

    def pause(self) -> None:
        """Stop moving."""

    def end(self, run: Run, now: Microseconds) -> None:
        """The last picture, and the result if there is one."""


def view_for(*, json: bool, output: TextIO) -> View:
    """The view that suits standard output, which is ``output``."""
    if json:
        return DocumentView(output)
    return LiveView(terminal.console()) if terminal.is_live() else PlainView()


class LiveView:
    """A picture that moves, on a terminal."""

    frame_seconds: float | None = _FRAME_SECONDS

    def __init__(self, output: Console) -> None:
        self._output = output
        self._foot = ""
        self._glyphs = terminal.glyphs_for(output)
        self._live: Live | None = None
        self._frame = 0
        self._run: Run | None = None
        self._items: Item | None = None

    def begin(self, heading: Heading) -> None:
        """Print the heading and begin."""
        self._foot = heading.foot
        for line in heading.lines():
            self._output.print(Text(line, "dim"))
        self._live = Live(console=self._output, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, run: Run, now: Microseconds) -> None:
        """Draw the next frame."""
        live = self._live  # which a breakpoint in another thread may take away
        if live is None:
            return
        self._frame += 1
        # The foot, and a line for the cursor.
        rows = max(self._output.height - 3, 3)
        if self._items is None or run is not self._run:
            # Thousands of steps are folded once for each change, not for each frame.
            self._run, self._items = run, folded(item_of_run(run), rows)
        foot = Text(self._foot, "dim italic")
        sheet = self._sheet(self._items, now, rows=rows, frame=self._frame)
        live.update(Group(draw(self._items, now, sheet), foot), refresh=True)

    def pause(self) -> None:
        """Take the moving picture away."""
        live, self._live = self._live, None
        if live is not None:
            live.update(Text(""), refresh=True)
            live.stop()

    def end(self, run: Run, now: Microseconds) -> None:
        """Leave a still picture and the result."""
        self.pause()
        items = folded(item_of_run(run), _LAST_ROWS)
        self._output.print(draw(items, now, self._sheet(items, now, rows=_LAST_ROWS)))
        self._output.print()
        print_ending(self._output, run.record)

    def _sheet(
        self, items: Item, now: Microseconds, *, rows: int, frame: int | None = None
    ) -> Sheet:
        bar = bar_for(items, now, self._output.width, self._glyphs)
        return Sheet(glyphs=self._glyphs, rows=rows, bar=bar, frame=frame)


class PlainView:
    """Lines without escape codes, for files and pipes."""

    frame_seconds: float | None = None

    def __init__(self, say: Callable[[str], None] = terminal.say) -> None:
        self._say = say
        self._progress = Progress()

    def begin(self, heading: Heading) -> None:
        """Print the heading."""
        for line in heading.lines():
            self._say(line)

    def show(self, run: Run, now: Microseconds) -> None:  # noqa: ARG002 - lines carry their own time
        """Print what is new."""
        for line in self._progress.lines(run):
            self._say(line)

    def pause(self) -> None:
        """Nothing."""

    def end(self, run: Run, now: Microseconds) -> None:
        """Print the rest and the result, on one line of its own."""
        self.show(run, now)
        for line in ending_lines(run.record):
            self._say(line)
        if run.record.status is RuntimeStatus.COMPLETED:
            self._say(run.record.output or "null")


class DocumentView:
    """One JSON document at the end, nothing before."""

    frame_seconds: float | None = None

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def begin(self, heading: Heading) -> None:
        """Nothing."""

    def show(self, run: Run, now: Microseconds) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def end(self, run: Run, now: Microseconds) -> None:  # noqa: ARG002 - the document has its own times
        """Print the document."""
        terminal.say(encoded(instance_document(run.record)), self._output)


def ending_lines(record: InstanceRecord) -> list[str]:
    """How an instance ended, without its result; nothing while it has not."""
    if record.completed_at is None:
        return []
    took = duration(record.completed_at - record.created_at)
    match record.status:
        case RuntimeStatus.COMPLETED:
            return [f"completed in {took}"]
        case RuntimeStatus.TERMINATED:
            return [f"terminated after {took}{_reason(record.output)}"]
        case _:
            failure = [] if record.failure is None else failure_lines(record.failure)
            return [f"failed after {took}", *(f"  {line}" for line in failure)]


def _reason(output: str | None) -> str:
    """The reason that somebody gave, without the quotes that a text has in JSON."""
    given = reason_of(output)
    if given is None:
        return ""
    reason = shown(given)
    return f": {visible(reason if isinstance(reason, str) else given)}"


def print_ending(output: Console, record: InstanceRecord) -> None:
    """The end of an instance, and its result, on a terminal."""
    style = STYLES[state_of(record.status)]
    for index, line in enumerate(ending_lines(record)):
        is_frame = line.startswith("    ")
        output.print(Text(line, "dim" if is_frame else f"bold {style}" if index == 0 else style))
    if record.status is RuntimeStatus.COMPLETED:
        result = msgspec.json.format(json_text(record.output), indent=2)
        output.print(JSONHighlighter()(Text(visible(result))), soft_wrap=True)
