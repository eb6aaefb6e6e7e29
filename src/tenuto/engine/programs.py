"""Several programs as one: what host, HTTP, client and command line see of them together.

Names belong to one program each. Two that have the same one at the host's start are refused with
both named: neither the store nor a message says which of them is meant.
"""

from collections.abc import Collection, Sequence
from typing import Final

from tenuto.engine.ports import Runner
from tenuto.engine.program import (
    HasVersion,
    HttpFunction,
    Orchestrator,
    Program,
    ProgramDescription,
    RunnerMeans,
    Served,
    TimerFunction,
    TriggeredFunction,
)
from tenuto.engine.runners import RunnerSet
from tenuto.model.errors import RegistrationError, UnknownFunctionError

_NEAREST_FIRST: Final = (Served.HERE, Served.ELSEWHERE, Served.LATER)


def version_of(program: Program) -> str:
    """The version of its app; empty when it has none."""
    return program.version if isinstance(program, HasVersion) else ""


class ProgramSet:
    """The programs of a host that runs more than one.

    Args:
        programs: Each of a kind of its own.
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = tuple(programs)

    @property
    def kind(self) -> str:
        """Those of all programs."""
        return ", ".join(one.kind for one in self._programs)

    @property
    def version(self) -> str:
        """Those of all programs that have one."""
        return "+".join(filter(None, map(version_of, self._programs)))

    @property
    def orchestrators(self) -> Collection[str]:
        """Names of all orchestrators, program by program."""
        return [name for one in self._programs for name in one.orchestrators]

    @property
    def activities(self) -> Collection[str]:
        """Names of all activities, program by program."""
        return [name for one in self._programs for name in one.activities]

    def serves(self, name: str) -> Served:
        """The best that one of them says."""
        answers = {one.serves(name) for one in self._programs}
        return next((one for one in _NEAREST_FIRST if one in answers), Served.NEVER)

    def get_orchestrator(self, name: str) -> Orchestrator:
        """The orchestrator of that name, of the program that serves it best.

        Raises:
            UnknownFunctionError: none of them serves it; says which there are in all.
        """
        return self._home_of(name).get_orchestrator(name)

    def check_input(self, name: str, text: str | None) -> None:
        """See that an orchestrator can take an input that came as JSON text, or none.

        Raises:
            UnknownFunctionError: none of them serves it.
            PayloadError: the text is not what it takes.
        """
        self._home_of(name).check_input(name, text)

    def _home_of(self, name: str) -> Program:
        best = self.serves(name)
        if best is Served.NEVER:
            raise UnknownFunctionError("orchestrator", name, self.orchestrators)
        return next(one for one in self._programs if one.serves(name) is best)

    @property
    def descriptions(self) -> Sequence[ProgramDescription]:
        """Of each program."""
        return [found for one in self._programs for found in one.descriptions]

    @property
    def warnings(self) -> Sequence[str]:
        """Of all of them."""
        return [warning for one in self._programs for warning in one.warnings]

    @property
    def http_functions(self) -> Sequence[HttpFunction]:
        """Of all of them."""
        return [found for one in self._programs for found in one.http_functions]

    @property
    def timers(self) -> Sequence[TimerFunction]:
        """Of all of them."""
        return [found for one in self._programs for found in one.timers]

    @property
    def triggered(self) -> Sequence[TriggeredFunction]:
        """Of all of them."""
        return [found for one in self._programs for found in one.triggered]

    def check(self) -> None:
        """See that each of them can be run, and that they can be told apart.

        Raises:
            RegistrationError: one cannot, or two have the same kind or function.
        """
        for one in self._programs:
            one.check()
        for number, one in enumerate(self._programs):
            for other in self._programs[:number]:
                _check_apart(other, one)

    def make_runner(self, means: RunnerMeans) -> Runner:
        """A runner for each, behind one port."""
        return RunnerSet([one.make_runner(means) for one in self._programs])


def _check_apart(first: Program, second: Program) -> None:
    if first.kind == second.kind:
        raise RegistrationError(
            f"two programs of this host are of the kind {first.kind!r}, and nothing tells them "
            "apart; put their functions into one, or run each on a host of its own"
        )
    # Each asks the other: names may be the same to one of them that are not the same text.
    shared = [name for name in second.orchestrators if first.serves(name) is Served.HERE]
    shared += [name for name in first.orchestrators if second.serves(name) is Served.HERE]
    if shared:
        raise _ambiguous("orchestrator", shared[0], first, second)
    known = frozenset(first.activities)
    for name in second.activities:
        if name in known:
            raise _ambiguous("activity", name, first, second)


def _ambiguous(what: str, name: str, first: Program, second: Program) -> RegistrationError:
    return RegistrationError(
        f"{what} {name!r} is in two programs of this host, {first.kind!r} and {second.kind!r}; "
        "rename it in one of them"
    )
