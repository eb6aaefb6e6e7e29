"""The settings of a host: one typed model."""

from msgspec import Struct

from tenuto.model.limits import Limits


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host may use.

    Attributes:
        limits: What one orchestration may use up.
        hot_sessions: Live sessions kept in memory at most.
        activity_threads: Threads for sync activities; None for four per processor (8 to 32).
        async_activities: Async activities in flight at most.
        drain_seconds: How long a stopping host waits for running activities.
    """

    limits: Limits = Limits()
    hot_sessions: int = 10_000
    activity_threads: int | None = None
    async_activities: int = 1_000
    drain_seconds: float = 10.0
