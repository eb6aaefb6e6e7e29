"""The way past a pooler, ``storage_direct``: one that leads elsewhere is seen at once, and one that
is shut later is said.
"""

import pytest

from tenuto import App, Host
from tenuto.host.settings import Settings
from tenuto.model.errors import SettingsError
from tenuto.storage import open_storage
from tenuto.telemetry.health import health_of
from tests.support.postgres import Postgres, fresh_schema
from tests.support.postgres_load import through_a_proxy
from tests.support.waiting import until

SETTINGS = Settings(lease_seconds=1, partitions=4)


async def _refused(url: str, direct: str) -> str:
    store = open_storage(url, direct=direct)
    with pytest.raises(SettingsError) as caught:
        await store.open()
    await store.close()
    assert caught.value.code == "TN-1104"
    return str(caught.value)


async def test_a_direct_way_that_leads_elsewhere_is_refused_at_once(postgres: Postgres) -> None:
    schema = fresh_schema()
    url = postgres.url(schema)
    for direct, reason in (
        (postgres.url(schema, database="nosuch"), 'database "nosuch" does not exist'),
        (postgres.url(schema, database="template1"), "there is no hub in the schema"),
        (postgres.url(schema, user="nobody_such"), 'role "nobody_such" does not exist'),
        (postgres.tcp_url(schema, 1), "refused"),
    ):
        said = await _refused(url, direct)
        assert "storage_direct" in said
        assert reason in said.replace("Connect call failed", "refused")


async def test_a_direct_way_to_another_hub_is_refused(postgres: Postgres) -> None:
    schema = fresh_schema()
    postgres.psql(f"CREATE DATABASE {schema}")
    other = postgres.url(schema, database=schema)
    store = open_storage(other)
    await store.open()
    await store.close()
    assert "is another hub" in await _refused(postgres.url(schema), other)


async def test_signs_of_life_that_fail_are_said_once_and_when_they_come_again(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with through_a_proxy(postgres) as (proxy, shut, url):
        settings = Settings(lease_seconds=1, partitions=4, storage_direct=shut)
        async with Host(App(), storage=url, settings=settings) as host:
            proxy.lead_to(1)
            proxy.cut()
            await until(lambda: "no sign of life" in " ".join(health_of(host.engine).reasons))
            assert "the connection broke" in " ".join(health_of(host.engine).reasons)
            proxy.lead_to(postgres.port)
            await until(lambda: "signs of life of this host reach" in caplog.text)
    assert caplog.text.count("signs of life of this host do not reach") == 1
    assert "by storage_direct, tried again: cannot renew leases in" in caplog.text
