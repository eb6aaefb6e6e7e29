"""The setting ``partitions``: it counts when a store is made, and never again."""

from pathlib import Path

import pytest

from tenuto import App, Context, Host, Settings
from tenuto.cli.findings import store_findings
from tenuto.host.settings import DEFAULT_PARTITIONS, load_settings
from tenuto.model.errors import SettingsError
from tenuto.storage.sqlite.examination import examine
from tenuto.testing import RecordingObserver, TestHost

app = App()


@app.orchestrator
async def hello(ctx: Context) -> str:
    return ctx.instance_id


class Noting(RecordingObserver):
    def __init__(self) -> None:
        super().__init__()
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


async def test_a_store_keeps_the_number_of_its_making(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    observer = Noting()
    for asked, told in ((3, 0), (None, 0), (3, 0), (5, 1), (1, 2)):
        settings = Settings(storage=url, partitions=asked)
        async with Host(app, settings=settings, observer=observer) as host:
            assert host.hub.partitions == 3
            assert len(host.engine.partitions) == 3
            handle = await host.client.start(hello)
            assert await handle.result() == handle.instance_id
        assert len(observer.notices) == told
    assert observer.notices == [
        f"the store has 3 partitions, as many as it was made with; the setting partitions={asked} "
        "changes nothing"
        for asked in (5, 1)
    ]


async def test_without_the_setting_there_are_as_many_as_by_default(tmp_path: Path) -> None:
    async with Host(app, f"sqlite:///{tmp_path}/hub.db") as host:
        assert host.hub.partitions == DEFAULT_PARTITIONS


async def test_a_test_host_has_them_too() -> None:
    async with TestHost(app, settings=Settings(partitions=4)) as test:
        assert test.host.hub.partitions == 4
        assert await test.run(hello, instance_id="x") == "x"


def test_it_comes_from_the_environment_as_other_settings_do(tmp_path: Path) -> None:
    loaded = load_settings(folder=tmp_path, environment={"TENUTO_PARTITIONS": "8"})
    assert loaded.values.partitions == 8
    assert loaded.sources["partitions"] == "environment TENUTO_PARTITIONS"


@pytest.mark.parametrize("number", [0, -1, 1_025, "many"])
def test_bad_input_is_refused_whole(tmp_path: Path, number: object) -> None:
    with pytest.raises(SettingsError, match="partitions"):
        load_settings(folder=tmp_path, environment={"TENUTO_PARTITIONS": str(number)})


async def test_the_doctor_says_how_many_a_store_has(tmp_path: Path) -> None:
    for partitions, words in ((1, ""), (8, ", 8 partitions")):
        path = f"{tmp_path}/{partitions}.db"
        async with Host(app, f"sqlite:///{path}", settings=Settings(partitions=partitions)):
            pass
        found = examine(path, 0)
        (finding, *_) = store_findings(found, 0, full=False)
        assert finding.text == f"{path}, schema {found.known_schema}{words}"
