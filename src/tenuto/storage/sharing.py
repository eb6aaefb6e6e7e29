"""How hosts share a store; of no meaning for one that a single host owns."""

from msgspec import Struct


class Sharing(Struct, frozen=True, kw_only=True):
    """How hosts share a store.

    Attributes:
        lease_seconds: So long partitions are a host's without a sign of life from it.
        blocked_seconds: A host whose loop has not answered for so long gives no sign of life.
    """

    lease_seconds: float = 10.0
    blocked_seconds: float = 60.0
