"""The last lines that instances have logged, in bounded memory. Pure.

Lines of one instance are bounded, and those of all together: for room, the instance whose last line
is the oldest is forgotten first. What is gone is never passed over in silence: a page says how many
lines were dropped, and from when on none is missing.
"""

from collections import OrderedDict, deque
from sys import getsizeof
from typing import Final

from msgspec import Struct

from tenuto.model.timing import Microseconds
from tenuto.telemetry.log_options import InstanceLogSettings

LONGEST_LINE: Final = 16 * 1024
"""Characters of a line that are kept; of a longer one, its beginning."""

_LINE_BYTES: Final = 300
"""What a line takes beside its text, measured."""
_INSTANCE_BYTES: Final = 1_000
"""What an instance takes beside its lines, measured: 970."""


class KeptLine(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line of the log of an instance.

    Attributes:
        number: Higher than those of all lines before, also of those before a restart of the host.
        at: When it was written, in microseconds since 1970 UTC.
        level: ``debug``, ``info``, ``warning``, ``error``, ``critical``, or the name of another.
        logger: The name of its logger.
        message: Its text, with the traceback of an exception that was logged; cut when it is long.
        function: The activity or orchestrator that has written it; null when that is not known.
        attempt: Of that activity; null where there is none.
    """

    number: int
    at: Microseconds
    level: str
    logger: str
    message: str
    function: str | None = None
    attempt: int | None = None


class KeptPage(Struct, frozen=True):
    """Lines of one instance, oldest first.

    Attributes:
        lines: As many as were asked for.
        dropped: How many older ones of this instance are known to be gone.
        since: From when on none is missing, in microseconds since 1970 UTC.
    """

    lines: list[KeptLine]
    dropped: int
    since: Microseconds


class _Lines:
    """The lines of one instance."""

    __slots__ = ("bytes", "dropped", "lines", "since")

    def __init__(self, since: Microseconds) -> None:
        self.lines: deque[tuple[KeptLine, int]] = deque()
        self.bytes = 0
        self.dropped = 0
        self.since = since


class KeptLines:
    """Keeps lines by instance id; for one thread at a time.

    Args:
        settings: How much.
        since: The present, in microseconds since 1970 UTC: nothing is known of before.

    Attributes:
        count: Lines that are kept.
        bytes: Roughly the memory that they take.
    """

    def __init__(self, settings: InstanceLogSettings, since: Microseconds) -> None:
        self._settings = settings
        self._by_instance: OrderedDict[str, _Lines] = OrderedDict()
        self._since = since
        self.count = 0
        self.bytes = 0

    def add(self, instance_id: str, line: KeptLine) -> None:
        """Keep a line, and drop what is too much then."""
        settings = self._settings
        found = self._by_instance.get(instance_id)
        if found is None:
            found = self._by_instance[instance_id] = _Lines(self._since)
            self.bytes += _INSTANCE_BYTES + len(instance_id)
        else:
            self._by_instance.move_to_end(instance_id)
        size = _LINE_BYTES + getsizeof(line.message)
        found.lines.append((line, size))
        found.bytes += size
        self.count += 1
        self.bytes += size
        while len(found.lines) > settings.lines or found.bytes > settings.bytes:
            self._drop(found)
        while self.count > settings.all_lines or self.bytes > settings.all_bytes:
            self._forget_oldest()

    def _drop(self, found: _Lines) -> None:
        line, size = found.lines.popleft()
        found.bytes -= size
        found.dropped += 1
        found.since = max(found.since, line.at + 1)
        self.count -= 1
        self.bytes -= size

    def _forget_oldest(self) -> None:
        instance_id, found = self._by_instance.popitem(last=False)
        while found.lines:
            self._drop(found)
        self.bytes -= _INSTANCE_BYTES + len(instance_id)
        self._since = max(self._since, found.since)

    def page(self, instance_id: str, after: int | None, limit: int) -> KeptPage:
        """The last lines of an instance, or those behind the line of this number, the first ones.

        Args:
            instance_id: Whose.
            after: The number of a line; None for the last lines.
            limit: Most lines.
        """
        found = self._by_instance.get(instance_id)
        if found is None:
            return KeptPage([], 0, self._since)
        lines = [line for line, _ in found.lines if after is None or line.number > after]
        lines = lines[-limit:] if after is None else lines[:limit]
        return KeptPage(lines, found.dropped, found.since)
