"""A careful start: after hosts have died young, who did it is found out without hurting others.

Owns the question who may run while a host is *careful*. Two owners in a row that died before they
had served for a while make the next one careful (one death changes nothing: ``kill -9`` is common).
What is to run then runs in groups, and the groups are noted in the store before they begin, since
nothing in memory outlives them (``deliveries``, ENGINE rules 29 and 32)::

    waiting ──▶ in the group ──▶ quiet, or slow ──▶ passed: runs as ever, deliveries 0
                    │ the process dies
                    ▼ in the next life
    waiting with its mark, behind those without ──▶ in a smaller group ──▶ ... ──▶ alone
                                                                                    │ N times
                                                                                    ▼
                                                                                  held

When the process left word of a fatal signal, each runs alone at once. Without it (``os._exit``, the
system's memory killer, somebody's ``kill -9``) groups become smaller from death to death, and one
that is tried alone once more gets the host to itself only after a while in which nothing runs: a
process that somebody else ends dies in that while as well, and nobody is blamed. ``deliveries`` is
then how often it was tried alone, or, below zero, how small its groups have become.

Care is taken of partitions: of those whose owners have died young. Others that this host serves run
as ever meanwhile.

Keeps the promise ``one_never_takes_all``.
"""

import asyncio
from itertools import islice
from typing import Final

from tenuto.engine.parts import Parts
from tenuto.engine.resident import Home, Resident
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.sorting import is_child, tries_again
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.messages import Terminate
from tenuto.model.timing import Microseconds

MANY_DEATHS: Final = 2
"""So many owners in a row have died young: it is no coincidence."""

SERVED: Final[Microseconds] = 60_000_000
"""Microseconds after which a host that dies did not die young."""

_LARGEST_GROUP: Final = 256
_SMALLER: Final = 2
"""Each death makes a group four times smaller."""

# Real time: it is about processes, and a clock of tests may stand still.
_LOOK_SECONDS: Final = 0.001
_PATIENCE_SECONDS: Final = 0.2
_PATIENCE_WITH_WORD_SECONDS: Final = 0.5
_LONGEST_PATIENCE_SECONDS: Final = 20.0
_LONGEST_PATIENCE_WITH_WORD_SECONDS: Final = 5.0
"""Shorter, as then each is alone."""
_NOTHING_RUNS_SECONDS: Final = 0.5


class Careful:
    """Lets instances run in groups, until everything that was out has run.

    Args:
        engine: Whose instances they are.
        has_word: Whether the last owner left word of a fatal signal.
    """

    def __init__(self, engine: Parts, *, has_word: bool) -> None:
        self._engine = engine
        self._has_word = has_word
        self._waiting: dict[int, Resident] = {}
        self._group: list[Resident] = []
        self._admitted: dict[Home, set[int]] = {}
        self._patience = 0.0

    def take(self, home: Home, deaths: int) -> None:
        """Be careful with this partition too, of which so many owners in a row have died young."""
        self._admitted[home] = set()
        shortest, longest = _PATIENCE_SECONDS, _LONGEST_PATIENCE_SECONDS
        if self._has_word:
            shortest, longest = _PATIENCE_WITH_WORD_SECONDS, _LONGEST_PATIENCE_WITH_WORD_SECONDS
        # Whoever is not found after many deaths takes its time.
        patience = min(shortest * 2 ** min(deaths - MANY_DEATHS, 10), longest)
        self._patience = max(patience, self._patience)

    def looks_after(self, home: Home) -> bool:
        """Whether it is one of those to be careful with."""
        return home in self._admitted

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a turn here."""
        return not self._waiting and not self._group

    @property
    def waiting(self) -> int:
        """How many instances wait."""
        return len(self._waiting)

    def waits_for(self, resident: Resident) -> bool:
        """Whether an instance that seems idle has something to do once it is let go."""
        return self._waiting.get(resident.state.iid) is resident

    def admits(self, resident: Resident) -> bool:
        """Whether an instance may run now; one that may not comes back by itself."""
        iid = resident.state.iid
        admitted = self._admitted.get(resident.home)
        if admitted is None or iid in admitted:
            return True
        self._waiting[iid] = resident
        return False

    async def run(self) -> None:
        """Let everybody run; returns when nothing of what was out is left."""
        while (is_loading := self._is_loading) or self._waiting:
            if is_loading and len(self._waiting) < _LARGEST_GROUP:
                await asyncio.sleep(_LOOK_SECONDS)  # whoever belongs into the same group comes too
                continue
            self._forget_the_gone()
            if not self._waiting:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            least = min((one.state.deliveries for one in self._waiting.values()), key=_suspicion)
            if not self._has_word and self._size(least) == 1:
                await asyncio.sleep(_NOTHING_RUNS_SECONDS)
            await self._run_group(least)

    async def _run_group(self, least: int) -> None:
        """Run those with as many marks, as many as fit into a group of theirs.

        Whoever comes while it runs and belongs into it joins it: under load there is always
        somebody who was not there when it began, and would have to wait for its end.
        """
        loop = self._engine.loop
        end = 0.0
        while True:
            more = self._alike(least, self._size(least) - len(self._group))
            self._group += more
            if more:
                await self._note({one: self._tried_once_more(one) for one in more})
                for resident in more:
                    self._let_go(resident)
            end = end or loop.time() + self._patience
            if loop.time() >= end or all(map(self._is_quiet, self._group)):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        await self._note(dict.fromkeys(self._group, 0))
        self._group = []

    @property
    def _is_loading(self) -> bool:
        return not all(home.loader.is_idle for home in self._admitted)

    # --- groups -----------------------------------------------------------------------------------

    def _forget_the_gone(self) -> None:
        for iid, resident in list(self._waiting.items()):
            if resident.home.residents.get(iid) is not resident:
                del self._waiting[iid]

    def _alike(self, deliveries: int, most: int) -> list[Resident]:
        """Those who wait and have so many marks, taken out; at most so many."""
        waiting = self._waiting.values()
        alike = (one for one in waiting if one.state.deliveries == deliveries)
        found = list(islice(alike, most))
        for resident in found:
            del self._waiting[resident.state.iid]
        return found

    def _size(self, deliveries: int) -> int:
        if self._has_word or deliveries > 0:
            return 1
        return max(_LARGEST_GROUP >> (_SMALLER * -deliveries), 1)

    def _is_alone(self, resident: Resident) -> bool:
        return self._size(resident.state.deliveries) == 1

    def _tried_once_more(self, resident: Resident) -> int:
        before = resident.state.deliveries
        return max(before, 0) + 1 if self._is_alone(resident) else before - 1

    async def _note(self, deliveries: dict[Resident, int]) -> None:
        for resident, number in deliveries.items():
            resident.state.deliveries = number
        await self._engine.holding.note_deliveries(deliveries)

    def _let_go(self, resident: Resident) -> None:
        engine = self._engine
        state = resident.state
        if not engine.is_ours(resident.home):
            return
        self._admitted[resident.home].add(state.iid)
        if resident.home.residents.get(state.iid) is not resident:
            return  # everything was read anew while its try was noted: whoever is there now may run
        most = engine.options.max_deliveries
        # The process died before a resume of what is held had been committed: it is still there.
        would_run = state.hold is None or any(map(tries_again, resident.inbox))
        if state.deliveries > most and would_run and not state.is_finished:
            text = (
                f"the process of its host died {most} times while it ran alone; look at what it "
                "does, then resume it, or end it"
            )
            engine.holding.hold_instead(
                resident, Hold(HoldReason.CRASHED, text, engine.clock.now())
            )
            return
        # Who is to end need not run for that. Of one that has ended, the calls of its last turn do.
        is_ending = any(isinstance(one, Terminate) and _ends(state, one) for one in resident.inbox)
        if not state.is_stopped and not is_ending:
            engine.release.take_work_up(resident)
        if resident.inbox:
            engine.make_ready(resident)

    def _is_quiet(self, resident: Resident) -> bool:
        is_here = resident.home.residents.get(resident.state.iid) is resident
        return not is_here or resident.is_idle


def _ends(state: InstanceState, message: Terminate) -> bool:
    """Whether it is meant for this execution: not for another one that somebody has called."""
    return message.child_of is None or is_child(state, message)


def _suspicion(deliveries: int) -> tuple[bool, int]:
    return (deliveries > 0, abs(deliveries))
