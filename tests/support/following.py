"""A follower in a thread of the test, and stores made of its copy."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenuto.engine.upkeep import Copy, FollowedTo, Following
from tenuto.storage import upkeep_of
from tenuto.storage.sqlite.following.folder import Folder, Reach

PATIENCE_SECONDS = 30.0


def now() -> int:
    return time.time_ns() // 1000


def untold(_done: int, _of: int) -> None: ...


def restored(folder: Path, target: Path, *, accept_loss: bool = False) -> Copy:
    target.unlink(missing_ok=True)
    return upkeep_of(f"sqlite:///{target}").restore(
        str(folder), now, force=False, accept_loss=accept_loss, told=untold
    )


class Followed:
    """A follower in a thread, and what it has told."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.news: list[Following] = []
        self.result: FollowedTo | Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path, folder))
        self._folder = folder
        self._thread.start()

    def _run(self, path: Path, folder: Path) -> None:
        try:
            self.result = upkeep_of(f"sqlite:///{path}").follow(
                str(folder), now, self._stop, self.news.append
            )
        except Exception as error:  # noqa: BLE001 - for the test's thread
            self.result = error

    def stop(self) -> FollowedTo | Exception | None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        return self.result

    def until(self, condition: Callable[[], bool]) -> None:
        last = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < last, self.news
            assert self._thread.is_alive(), self.result
            time.sleep(0.01)

    def until_it_reaches(self, moment: int) -> None:
        self.until(lambda: (reach := read_reach(self._folder)) is not None and reach.at >= moment)

    def says(self, state: str, words: str = "") -> bool:
        return any(one.state == state and words in one.text for one in self.news)


def read_reach(folder: Path) -> Reach | None:
    return Folder(str(folder)).reach()


@contextmanager
def followed(path: Path, folder: Path) -> Iterator[Followed]:
    one = Followed(path, folder)
    try:
        yield one
    finally:
        one.stop()


async def up_to_now(one: Followed) -> None:
    """What was committed up to here is in the copy."""
    await asyncio.to_thread(one.until_it_reaches, now())
