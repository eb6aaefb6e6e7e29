"""A line from a process to those that it starts: when it breaks, the process is gone.

The line is a pipe into which nobody writes. Its writing end is open in the process that holds it
and nowhere else, so the system closes it whatever way that process ends, ``kill -9`` included.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl
    import signal

    class Lifeline:
        """The end of the process that others shall not outlive.

        Attributes:
            theirs: The descriptor to pass on to them.
        """

        def __init__(self) -> None:
            self.theirs, ours = os.pipe()
            self._open = [self.theirs, ours]

        def close(self) -> None:
            """Let it go: who holds on to it still is told that this process is gone."""
            with contextlib.suppress(IndexError):  # perhaps at once in two threads
                while True:
                    os.close(self._open.pop())

    def end_with(descriptor: int) -> None:
        """Have the system kill this process when the line breaks, whatever it does then.

        Code that computes without ever letting other threads in would hear of it from nobody else.
        """
        os.set_inheritable(descriptor, False)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        if hasattr(fcntl, "F_SETSIG"):  # elsewhere it is SIGIO, which ends a process as well
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
        try:
            is_broken = os.read(descriptor, 1) == b""
        except BlockingIOError:
            is_broken = False
        if is_broken:  # before the system was told to watch it
            os.kill(os.getpid(), signal.SIGKILL)

    def when_broken(descriptor: int, call: Callable[[], None]) -> None:
        """Call a function when the line breaks, in a thread of its own."""
        os.set_inheritable(descriptor, False)

        def wait() -> None:
            os.read(descriptor, 1)
            call()

        threading.Thread(target=wait, name="tenuto-lifeline", daemon=True).start()
