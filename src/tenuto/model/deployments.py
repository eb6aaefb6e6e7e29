"""What a server that takes deployments tells of them. Pure data."""

from typing import Final

from msgspec import Struct, field

from tenuto.model.timing import Microseconds

ORIGINAL: Final = "original"
"""Stands for the files that the server was started with, in place of a version."""

RUNS: Final = "done"
REFUSED: Final = "refused"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
_ENDED: Final = frozenset({RUNS, REFUSED, FAILED, INTERRUPTED})


class Deployment(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One deployment or rollback, from when it was asked for.

    Attributes:
        number: Counts from 1.
        kind: ``deploy`` or ``rollback``.
        version: What is to run; empty until the package is unpacked.
        label: What somebody calls it.
        commit: The Git commit it was made from.
        state: ``unpacking``, ``installing``, ``checking``, ``loading``, ``switching``; at the end
            ``done``, ``refused`` (nothing was changed), ``failed`` (what ran before runs again) or
            ``interrupted`` (the server ended meanwhile).
        message: Why it was refused or has failed, or what was found.
        held: Instances that the new code would hold; None when that was not found out.
        goes_on: Instances that go on with it.
        at: When it was asked for.
        ended_at: When it was over.
        gap_seconds: For how long no version served; callers waited meanwhile.
    """

    number: int
    kind: str
    version: str = ""
    label: str = ""
    commit: str = ""
    state: str
    message: str = ""
    held: int | None = None
    goes_on: int | None = None
    at: Microseconds = 0
    ended_at: Microseconds | None = None
    gap_seconds: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in _ENDED


class DeploymentList(Struct, kw_only=True, rename="camel"):
    """All that is known of versions.

    Attributes:
        runs: The version that runs.
        before: The version that a rollback goes back to; None without one.
        versions: Those that are there.
        deployments: The latest, oldest first.
        most_bytes: How large a package may be; 0 where nobody says so.
    """

    runs: str = ORIGINAL
    before: str | None = None
    versions: list[str] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    most_bytes: int = 0


class DeploymentOrder(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        kind: ``deploy`` or ``rollback``.
        file: The name of the package among those that came in; empty for a rollback.
        version: Where a rollback goes; None for the version before.
        label: What somebody calls it.
        commit: The Git commit it was made from.
        force: Whether it runs although instances would be held.
    """

    kind: str
    file: str = ""
    version: str | None = None
    label: str = ""
    commit: str = ""
    force: bool = False
