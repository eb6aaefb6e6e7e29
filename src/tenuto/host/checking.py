"""The code of an app as a check of replay has it: a host's runner, without a host."""

import time

from tenuto.engine.program import RunnerMeans
from tenuto.host.clock import SystemClock
from tenuto.host.programs import Hosted, program_of
from tenuto.host.settings import Settings
from tenuto.insight.fitting import FitCheck


def fit_check(app: Hosted, settings: Settings | None = None) -> FitCheck:
    """A check whether this code fits instances, under the settings that a host would have.

    Args:
        app: An app, a program, or several of them.
        settings: Limits, and how often the guard looks; by default those of a host.

    Raises:
        RegistrationError: the program cannot be run.
    """
    settings = settings or Settings()
    program = program_of(app, settings)
    program.check()
    means = RunnerMeans(
        clock=SystemClock(),
        limits=settings.limits,
        webhook_base=lambda: settings.http.address,  # no activity asks for it
    )
    # Never bound, so it starts nothing and need not be stopped.
    return FitCheck(program.make_runner(means), settings.limits, time.time_ns() // 1000)
