"""A server in real processes that takes new versions of its app, and refuses some."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.deploying import (
    ADMIN_KEY,
    MOST_BYTES,
    OPERATE_KEY,
    PATH,
    ROOT,
    DeployServer,
    version,
)
from tests.support.ports import held_port
from tests.support.waiting import until_given

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DeployServer]:
    with held_port() as port:
        one = DeployServer(tmp_path, port)
        await one.start()
        try:
            yield one
        finally:
            await one.stop()


async def test_versions_change_and_what_does_not_fit_is_refused_whole(
    server: DeployServer,
) -> None:
    await server.run("held", "waits")
    done = await server.deploy(version("two"), "?label=second")
    assert done["state"] == "done", done
    assert done["goesOn"] == 1
    assert done["label"] == "second"
    await server.run("a")
    assert (await server.result("a"))["output"] == '["two","two"]'

    # What runs comes to its end, and callers are answered meanwhile.
    await server.run("lasting", "lasts")
    assert await until_given(partial(server.has_noted, "lasting/1"))
    begun = (await server.client.post(PATH, content=version("between"))).json()
    assert await until_given(partial(server.is_at, begun["number"], "switching"))
    await asyncio.sleep(0.3)
    assert await server.is_at(begun["number"], "switching")
    await server.run("meanwhile")
    server.ledger.with_name("finish").touch()
    done = await server.followed(begun["number"])
    assert done["state"] == "done"
    assert (await server.result("lasting"))["output"] == '["two","between"]'
    assert (await server.result("meanwhile"))["output"] == '["between","between"]'
    assert server.ledger.read_text().count("lasting/1") == 1

    broken = await server.deploy(version("three", "\nimport not_there\n"))
    assert broken["state"] == "refused"
    assert "No module named 'not_there'" in broken["message"]
    changed = version("five", "\n\ndel app\nfrom tenuto import App\napp = App()\n")
    held = await server.deploy(changed)
    assert held["state"] == "refused"
    assert "would hold 1 of 1 unfinished" in held["message"]
    assert "held: " in held["message"]

    # Loads, passes the check, and dies when it should serve: the version before runs again.
    dies = "\nimport tenuto.host.server as s\ns.Server.start = lambda self: os._exit(3)\n"
    failed = await server.deploy(version("six", dies))
    assert failed["state"] == "failed"
    assert f"{done['version']} runs again" in failed["message"]
    await server.run("c")
    assert (await server.result("c"))["output"] == '["between","between"]'
    back = (await server.client.post(f"{PATH}/rollback?version=original")).json()
    assert (await server.followed(back["number"]))["state"] == "done"
    await server.run("b")
    assert (await server.result("b"))["output"] == '["original","original"]'


async def test_who_may_deploy_and_one_at_a_time(server: DeployServer) -> None:
    async with server.client_with(OPERATE_KEY) as operator:
        for told in (
            await operator.post(PATH, content=version("x")),
            await operator.post(f"{PATH}/rollback"),
            await operator.get(PATH),
        ):
            assert told.status_code == 403
    async with server.client_with("") as page:
        signed_in = await page.post("/session", json={"key": ADMIN_KEY})
        cookie = signed_in.headers["set-cookie"].partition(";")[0]
        headers = {"cookie": cookie, "sec-fetch-site": "same-origin", "x-tenuto-session": "1"}
        told = await page.post(f"{PATH}/rollback", headers=headers)
        assert told.status_code == 403
        assert "a session does not do" in told.json()["message"]
    nothing = (await server.client.post(f"{PATH}/rollback")).json()
    assert "no version ran before" in (await server.followed(nothing["number"]))["message"]
    one, other = await asyncio.gather(
        server.client.post(PATH, content=version("one")),
        server.client.post(PATH, content=version("other")),
    )
    assert {one.status_code, other.status_code} == {202, 409}
    refused = one if one.status_code == 409 else other
    assert "goes on" in refused.json()["message"]
    begun = other if refused is one else one
    assert (await server.followed(begun.json()["number"]))["state"] == "done"


async def test_the_commands(server: DeployServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    app = (tmp_path / "app.py").read_text().replace("original", "two")
    (source / "app.py").write_text(f"print('{{hello')\n{app}\nos.write(1, b'{{hello')\n")

    async def tenuto(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tenuto", *words, "--to", server.url),
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TENUTO_HTTP_KEY": ADMIN_KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    noted = tmp_path / ".tenuto/versions/state.part"
    noted.mkdir()  # as if the disk were full
    code, output = await tenuto("deploy", str(source), "--label", "first")
    assert code == 2
    assert "cannot be noted" in output
    noted.rmdir()
    code, output = await tenuto("deploy", str(source), "--label", "second")
    assert code == 0, output
    assert "done (callers waited" in output
    (source / "app.py").write_text("import not_there")
    code, output = await tenuto("deploy", str(source))
    assert code == 1
    assert "not_there" in output
    (source / "app.py").write_text("import os\nos._exit(7)\n")
    code, output = await tenuto("deploy", str(source))
    assert code == 1
    assert "does not load; its process ended with exit code 7, and said nothing" in output
    (source / "large").write_bytes(os.urandom(MOST_BYTES))
    code, output = await tenuto("deploy", str(source))
    assert code != 0
    assert "deploy.archive_bytes" in output
    assert "sending" not in output
    code, output = await tenuto("deployments")
    assert code == 0
    assert "second" in output
    assert "refused" in output
    code, output = await tenuto("rollback")
    assert code == 0, output


@pytest.mark.parametrize("keys", [{}, {"o": {"key": OPERATE_KEY, "role": "operate"}}])
async def test_without_an_admin_key_it_does_not_start(
    tmp_path: Path, keys: dict[str, dict[str, str]]
) -> None:
    with held_port() as port:
        server = DeployServer(tmp_path, port)
        await server.begin(keys=keys)
        assert await server.ended() == 2
        assert "has an admin key run code here" in server.log
        await server.client.aclose()
