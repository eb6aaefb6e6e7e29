"""What a host is given to run, as one program.

The only place between the native functions and the rooms around the engine: behind it, an app is a
program like any other.
"""

from collections.abc import Sequence
from typing import TypeAlias

from tenuto.engine.program import Program
from tenuto.engine.programs import ProgramSet
from tenuto.functions.program import NativeProgram
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import RunnerOptions
from tenuto.host.settings import Settings
from tenuto.model.errors import InputError

Hosted: TypeAlias = FunctionRegistry | Program | Sequence[FunctionRegistry | Program]
"""An app, a program of another kind, or several of them."""


def program_of(hosted: Hosted, settings: Settings | None = None) -> Program:
    """The program that a host runs.

    Args:
        hosted: An app, a program, or several.
        settings: What the functions of an app may use of the host.

    Raises:
        InputError: there is nothing to run, or it is none of these.
    """
    if not isinstance(hosted, Sequence):
        return _one_program(hosted, settings or Settings())
    programs = [_one_program(one, settings or Settings()) for one in hosted]
    if not programs:
        raise InputError("a host needs an App or another program to run; the sequence is empty")
    return programs[0] if len(programs) == 1 else ProgramSet(programs)


def _one_program(hosted: FunctionRegistry | Program, settings: Settings) -> Program:
    if isinstance(hosted, FunctionRegistry):
        return NativeProgram(hosted, _options(settings))
    if not callable(getattr(hosted, "make_runner", None)):
        raise InputError(f"a host runs an App, another program, or several; got {hosted!r}")
    return hosted


def _options(settings: Settings) -> RunnerOptions:
    return RunnerOptions(
        max_threads=settings.activity_threads,
        max_async=settings.async_activities,
        guard_every=settings.guard_every,
        cpu_workers=settings.cpu_workers,
        cpu_workers_least=settings.cpu_workers_least,
        cpu_idle_seconds=settings.cpu_idle_seconds,
        outbound=settings.outbound,
    )
