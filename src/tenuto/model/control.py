"""Control: the words by which an instance is steered, each once.

A word is a message with a reason and nothing more. Clients, servers and the command line make
their methods, paths and commands of this table; what the word does to an instance, the engine
decides (``engine.turns.sorting``). docs/architecture.md says how to add one.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from tenuto.model.messages import Fail, Resume, Suspend, Terminate
from tenuto.model.status import InstanceRecord, RuntimeStatus


class Control(Struct, frozen=True, kw_only=True):
    """A word.

    Attributes:
        name: Of the path, the command and the client's method.
        message: What is told the instance.
        summary: What it does, in a few words.
        explained: The same for whoever is about to do it.
        ends: Whether it ends the instance; else it pauses it, or lets it go on.
        cannot: Whether an unfinished instance whose row is this would refuse it.
    """

    name: str
    message: type[Suspend | Resume | Fail]
    summary: str
    explained: str
    ends: bool = False
    cannot: Callable[[InstanceRecord], bool] = lambda _: False


def _is_suspended(record: InstanceRecord) -> bool:
    return record.status is RuntimeStatus.SUSPENDED


def _goes_on(record: InstanceRecord) -> bool:
    return record.status is not RuntimeStatus.SUSPENDED and record.hold is None


CONTROLS: Final = (
    Control(
        name="fail",
        message=Fail,
        summary="End an instance as failed",
        explained="End an instance as failed, as its own code would; for one that no code will "
        "ever fit.",
        ends=True,
    ),
    Control(
        name="suspend",
        message=Suspend,
        summary="Pause an instance",
        explained="Pause an instance: what arrives is kept until it is resumed.",
        cannot=_is_suspended,
    ),
    Control(
        name="resume",
        message=Resume,
        summary="Let a suspended instance go on, try a held one again",
        explained="Let a suspended instance go on, and try a held one again.",
        cannot=_goes_on,
    ),
)

CONTROL_OF: Final[Mapping[type, Control]] = {one.message: one for one in CONTROLS}
"""By what is told the instance."""

ENDING: Final[tuple[type, ...]] = (Terminate, *(one.message for one in CONTROLS if one.ends))
"""What ends an instance."""

PAUSING: Final[tuple[type, ...]] = tuple(one.message for one in CONTROLS if not one.ends)
"""What pauses an instance, or lets it go on: it matters which of these comes first."""
