"""Held: an instance that cannot go on now, and has not ended.

Beside the runtime status: a held instance stays Running, Pending or Suspended for clients that know
only those. Only its own code, a limit or an operator ends an instance (ENGINE rule 29); what does
not fit it merely holds it, with everything that it was sent. Keeps ``a_deploy_loses_nothing``.
"""

from enum import StrEnum

from msgspec import Struct, structs

from tenuto.model.timing import Microseconds


class HoldReason(StrEnum):
    """Why an instance is held.

    The first five are *misfits*: the code does not fit the instance. They are tried again whenever
    a host starts, and so is one without budget. The others are *harmful*: only ``resume`` tries
    them again.
    """

    DECISIONS = "decisions"
    """The code decides otherwise than history recorded."""

    NOT_SERVED = "not_served"
    """This host has no function of that name."""

    GUARD = "guard"
    """In replay the code does what cannot be replayed."""

    PAYLOAD = "payload"
    """Stored data do not fit the type that the code asks for now."""

    POISON = "poison"
    """Its turn failed twice, for no fault of its orchestrator that could be told."""

    CRASHED = "crashed"
    """It has ended the process of its host, several times."""

    MEMORY = "memory"
    """There was not enough memory for it."""

    STORAGE = "storage"
    """The store cannot hold what it decided."""

    BUDGET = "budget"
    """It has used what it may, or its app has today."""

    @property
    def is_harmful(self) -> bool:
        """Whether trying again may hurt others."""
        return self in _HARMFUL


_HARMFUL = frozenset({HoldReason.CRASHED, HoldReason.MEMORY, HoldReason.STORAGE})


class Hold(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why an instance is held, and since when.

    Attributes:
        reason: The kind.
        message: What happened, where, and what to do.
        since: When it was held first, in microseconds since 1970 UTC.
        tried: When it was last tried again, without success.
        recorded: What history says, where two sides differ.
        produced: What the code says.
    """

    reason: HoldReason
    message: str
    since: Microseconds
    recorded: str | None = None
    produced: str | None = None
    tried: Microseconds | None = None

    def after(self, before: "Hold | None") -> "Hold":
        """The same after another try: held since the first time."""
        if before is None or before.reason is not self.reason:
            return self
        return structs.replace(self, since=before.since, tried=self.since)
