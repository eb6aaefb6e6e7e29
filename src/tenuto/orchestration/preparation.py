"""What sessions need of the process that they run in: done once, by whoever runs the first one.

A host does it when it starts, if it has orchestrators; a session does it in any case. No import
does, and a client's process stays as it is (ENGINE rule 43).
"""

import functools

from tenuto.orchestration.asyncio_inside import classes, functions
from tenuto.orchestration.guard import installing


@functools.cache
def prepare_process() -> None:
    """From now on asyncio's functions and the guard ask whether a session runs."""
    functions.install()
    classes.install()
    installing.install()
