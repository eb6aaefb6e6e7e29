"""What users get to test their apps: the real engine on a virtual clock.

``TestHost`` runs an app as a host does, on a store in memory, and lets time pass when a test says
so, or when it waits for a result and nothing else is left to do. ``check_histories`` replays what
was recorded in production. ``CrashAt`` and ``KillAt`` stop a
host at a named point.
"""

from tenuto.testing.clock import VirtualClock
from tenuto.testing.crash import CRASH_POINTS, CrashAt, KillAt
from tenuto.testing.histories import check_histories
from tenuto.testing.host import TestHost
from tenuto.testing.observer import RecordingObserver

__all__ = [
    "CRASH_POINTS",
    "CrashAt",
    "KillAt",
    "RecordingObserver",
    "TestHost",
    "VirtualClock",
    "check_histories",
]
