"""Where code waits, as people are shown it: tasks, frames, source lines, variables. Pure data."""

from msgspec import Struct


class _Part(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Fields in camelCase, as everywhere over HTTP."""


class SourceLine(_Part, frozen=True, kw_only=True):
    """A line of a file.

    Attributes:
        line: Its number, from 1.
        text: The line, without its end.
    """

    line: int
    text: str


class Variable(_Part, frozen=True, kw_only=True):
    """A local variable.

    Attributes:
        name: Its name.
        value: The value, like JSON and cut when it is long; of what is no plain data, its kind.
        type: The name of its type.
    """

    name: str
    value: str
    type: str


class CodeFrame(_Part, frozen=True, kw_only=True):
    """A function that has begun and waits.

    Attributes:
        function: Its name.
        file: Where it stands, without the folders above the app.
        line: The line at which it waits.
        source: Lines of the function around that line.
        no_source: Why there are none.
        variables: Its local variables.
        more_variables: How many there are besides.
    """

    function: str
    file: str
    line: int
    source: tuple[SourceLine, ...] = ()
    no_source: str = ""
    variables: tuple[Variable, ...] = ()
    more_variables: int = 0


class CodeTask(_Part, frozen=True, kw_only=True):
    """A task of an orchestrator, and where it waits.

    Attributes:
        name: Its name.
        frames: From the outermost to the innermost.
    """

    name: str
    frames: tuple[CodeFrame, ...] = ()


class CodePlaces(_Part, frozen=True, kw_only=True):
    """Where an orchestrator waits.

    Attributes:
        frames: Of the orchestrator itself, from the outermost to the innermost.
        tasks: The other tasks that it has started and that have not ended.
        more_tasks: How many there are besides.
    """

    frames: tuple[CodeFrame, ...] = ()
    tasks: tuple[CodeTask, ...] = ()
    more_tasks: int = 0
