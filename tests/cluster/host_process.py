"""A host of the cluster's load, as the test that does harm to it sees it."""

from pathlib import Path

from tests.cluster import load_process
from tests.support import host_process


class HostProcess(host_process.HostProcess):
    """One of the hosts on the hub."""

    @classmethod
    async def start(
        cls, url: str, journal: Path, *options: object, before: tuple[str, ...] = ()
    ) -> "HostProcess":
        """Begin one; it is not up yet.

        Args:
            url: Of the store.
            journal: Where runs are noted.
            *options: Of ``load_process``.
            before: Words before the command, such as those that enter a namespace.
        """
        log = journal.with_suffix(".err")
        return await cls.begin(load_process.__file__, log, url, journal, *options, before=before)

    async def is_up(self) -> bool:
        """Wait until it serves; False when it ends before."""
        return await self.said("up")

    def quiet(self) -> None:
        """Have it start nothing more by itself."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
