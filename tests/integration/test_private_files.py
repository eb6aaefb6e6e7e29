"""What a host writes is for its owner's eyes alone (S8)."""

import os
import stat
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import App, Client, Context, Host, Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


async def test_the_files_of_a_new_store_are_its_owners_alone(tmp_path: Path, umask: int) -> None:
    app = App()

    @app.orchestrator
    async def wait(ctx: Context) -> None:
        await ctx.create_timer(timedelta(days=1))

    storage = f"sqlite:///{tmp_path / 'one.db'}"
    async with Host(app, settings=Settings(storage=storage)) as host:
        await host.client.start(wait)
        async with Client.open(storage) as outside:
            await outside.start("wait")
        found = rights(tmp_path)
        assert {"one.db", "one.db-wal", "one.db-shm", "one.db.owner"} <= set(found)
        assert set(found.values()) == {"0o600"}
    assert set(rights(tmp_path).values()) == {"0o600"}


async def test_the_rights_of_a_store_that_exists_are_left_as_they_are(tmp_path: Path) -> None:
    store = tmp_path / "one.db"
    async with Host(App(), settings=Settings(storage=f"sqlite:///{store}")):
        pass
    store.chmod(0o640)
    async with Host(App(), settings=Settings(storage=f"sqlite:///{store}")):
        assert rights(tmp_path)["one.db-wal"] == "0o640"
    assert rights(tmp_path)["one.db"] == "0o640"
