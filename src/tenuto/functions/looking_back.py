"""Sessions of this process that are led along a history, and looked into.

The session is one of ours like any live one, and replays: it logs nothing, the guard is at work,
and what it decides is compared with history and dropped. What is read off it is bounded, however
many tasks, frames and variables there are. Must never run code of users to show something.
"""

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any, Final

from msgspec import UnsetType

from tenuto.functions.schemas import schema_of
from tenuto.functions.shown_values import shown, type_name
from tenuto.functions.source_lines import SourceFiles, shown_file
from tenuto.model.code_frames import CodeFrame, CodePlaces, CodeTask, SourceLine, Variable
from tenuto.model.cuts import cut
from tenuto.model.events import HistoryEvent
from tenuto.model.texts import storable_text
from tenuto.orchestration.positions import user_frames
from tenuto.orchestration.replay import retrace
from tenuto.orchestration.session import Session

_MOST_TASKS: Final = 50
_MOST_FRAMES: Final = 30
_MOST_VARIABLES: Final = 50
_LONGEST_VALUE: Final = 1_000
_ALL_VALUES: Final = 64 * 1024
_ALL_SOURCE: Final = 256 * 1024
"""Characters."""
_LONGEST_NAME: Final = 200

_FILES: Final = SourceFiles()


class NativePast:
    """See ``PastSession``.

    Args:
        session: Fresh; traces source lines.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def is_over(self) -> bool:
        """Whether its code has come to its end."""
        return self._session.is_dead

    def take(self, turn: Sequence[HistoryEvent], number: int) -> str | UnsetType | None:
        """Go through its next recorded turn; see ``PastSession``."""
        return retrace(self._session, turn, number).custom_status

    def places(self) -> CodePlaces:
        """Where its code waits now."""
        root, *others = self._session.loop.tasks.values()
        view = _View()
        return CodePlaces(
            frames=view.frames(root.coroutine),
            tasks=tuple(
                CodeTask(name=_name(one.get_name()), frames=view.frames(one.coroutine))
                for one in others[:_MOST_TASKS]
            ),
            more_tasks=max(len(others) - _MOST_TASKS, 0),
        )

    def awaited(self) -> Mapping[int, Mapping[str, Any] | None]:
        """What open waits for events ask for."""
        types = self._session.awaited_types()
        return {number: schema_of(kind) for number, kind in types.items()}

    def close(self) -> int:
        """Throw it away."""
        return self._session.close()


class _View:
    """Turns frames into what is shown, as long as there is room."""

    def __init__(self) -> None:
        self._for_values = _ALL_VALUES
        self._for_source = _ALL_SOURCE

    def frames(self, coroutine: object) -> tuple[CodeFrame, ...]:
        """Where a coroutine waits; of a very deep one, the innermost frames."""
        return tuple(self._frame(one) for one in user_frames(coroutine)[-_MOST_FRAMES:])

    def _frame(self, frame: FrameType) -> CodeFrame:
        code = frame.f_code
        source, no_source = self._source(frame)
        variables, more = self._variables(frame)
        return CodeFrame(
            function=_name(code.co_qualname),
            file=storable_text(shown_file(code.co_filename)),
            line=frame.f_lineno,
            source=source,
            no_source=no_source,
            variables=variables,
            more_variables=more,
        )

    def _source(self, frame: FrameType) -> tuple[tuple[SourceLine, ...], str]:
        if self._for_source <= 0:
            return (), "there are too many functions to show the lines of all"
        found = _FILES.lines(frame.f_code, frame.f_lineno)
        if isinstance(found, str):
            return (), found
        self._for_source -= sum(len(one.text) for one in found)
        return found, ""

    def _variables(self, frame: FrameType) -> tuple[tuple[Variable, ...], int]:
        # Those of comprehensions have a dot in front.
        held = {name: one for name, one in frame.f_locals.items() if not name.startswith(".")}
        found: list[Variable] = []
        for name, value in held.items():
            if len(found) == _MOST_VARIABLES or self._for_values <= 0:
                break
            text = shown(value, min(_LONGEST_VALUE, self._for_values))
            self._for_values -= len(text)
            found.append(Variable(name=_name(name), value=text, type=type_name(value)))
        return tuple(found), len(held) - len(found)


def _name(text: str) -> str:
    return storable_text(cut(text, _LONGEST_NAME))
