"""Where the executors of sessions are kept: each in the worker that ran its last turn."""

import logging
from typing import Final

from msgspec import Struct

from tenuto.interop.workers.errands import TurnRequest
from tenuto.interop.workers.link import WorkerLink
from tenuto.interop.workers.protocol import Forget
from tenuto.model.cuts import cut

_LOGGER: Final = logging.getLogger("tenuto.worker")
_MOST_TOLD: Final = 300
"""Characters of a difference."""


class _Home(Struct, frozen=True):
    link: WorkerLink
    name: str


class Homes:
    """The workers that keep executors, by the keys of their sessions."""

    def __init__(self) -> None:
        self._homes: dict[int, _Home] = {}
        self._never_kept: set[str] = set()

    def of(self, key: int) -> WorkerLink | None:
        """The worker that keeps the executor of a session, while it takes turns."""
        home = self._homes.get(key)
        return None if home is None or home.link.is_retiring else home.link

    def keep(self, request: TurnRequest, link: WorkerLink) -> bool:
        """A worker has kept the executor of this turn's session; False when it is not to."""
        if request.name in self._never_kept:
            return False
        self._homes[request.key] = _Home(link, request.name)
        return True

    def lose(self, key: int) -> None:
        """The executor of a session is nowhere any more."""
        self._homes.pop(key, None)

    def leave(self, key: int) -> None:
        """A session is closed: whoever keeps its executor lets it go."""
        home = self._homes.pop(key, None)
        if home is not None:
            home.link.tell(Forget(key=key))

    def without(self, link: WorkerLink) -> None:
        """A worker is not there any more, or takes no more turns."""
        self._homes = {key: home for key, home in self._homes.items() if home.link is not link}

    def differ(self, request: TurnRequest, difference: str) -> None:
        """The package's executor does not do what the package does: it is used no more for this
        orchestrator. Others are compared too, each for itself.
        """
        _LOGGER.error(
            "%s of instance %s: the executor that is kept between turns and the plain call of "
            "the package part: %s. Either the orchestrator uses something that is not the same in "
            "every run (time, random numbers, global state), or this is a fault of ours: please "
            "report it then, with the versions of your packages. Executors of this orchestrator "
            "are kept no more; its turns take longer where its history is long.",
            request.name,
            request.instance_id,
            # Payloads stand in it, which are not for logs in all their length.
            cut(difference, _MOST_TOLD, "…"),
        )
        self._never_kept.add(request.name)
        for key in [key for key, home in self._homes.items() if home.name == request.name]:
            self.leave(key)
