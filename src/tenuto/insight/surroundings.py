"""What whoever asks why an instance waits knows beside the instance itself. Pure data."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from tenuto.engine.member_ports import Census
from tenuto.engine.standing import Look
from tenuto.insight.wording import moment
from tenuto.model.explanation import Below
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is known beside the instance itself.

    Attributes:
        now: The present, in microseconds since 1970 UTC.
        has_host: Whether a host carries things out.
        look: What its host says of it; None when that cannot be asked.
        children: Rows of children that it waits for, by id; None of those that are not there.
        untaken: Messages by instance that a running host has left lying while somebody looked.
        orchestrators: Those of the app that was named; None when none was.
        unserved: Children among them whose orchestrator is not there.
        troubled_links: What is wrong with links to other hubs, by name.
        below: What keeps children that wait themselves, by id.
        hub: The hosts of the hub, where several share it.
        is_elsewhere: Whether a host was asked, and another one serves the instance.
        place: The options that name the place, for commands in advice.
        at: How a moment is written.
    """

    now: Microseconds
    has_host: bool
    look: Look | None = None
    children: Mapping[str, InstanceRecord | None] = {}
    untaken: Mapping[str, int] = {}
    orchestrators: frozenset[str] | None = None
    unserved: frozenset[InstanceId] = frozenset()
    troubled_links: Mapping[str, str] = {}
    below: Mapping[InstanceId, Below] = {}
    hub: Census | None = None
    is_elsewhere: bool = False
    place: tuple[str, ...] = ()
    at: Callable[[int], str] = moment
