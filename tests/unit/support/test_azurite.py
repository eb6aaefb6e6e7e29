"""The emulator that tests of Azure Storage run against."""

import os
import signal
import subprocess
import sys

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from tests.support.azure_programs import ROOT
from tests.support.azurite import Azurite
from tests.support.leftovers import descendants
from tests.support.waiting import until

_STARTER = """
import time
from tests.support.azurite import running_azurite
with running_azurite() as azurite:
    print(azurite.table_port, flush=True)
    time.sleep(600)
"""


async def test_the_packages_of_azure_speak_with_it(azurite: Azurite) -> None:
    where = azurite.connection_string
    async with QueueServiceClient.from_connection_string(where) as queues:
        queue = await queues.create_queue("hello-queue")
        await queue.send_message("hello")
        assert [one.content async for one in queue.receive_messages()] == ["hello"]
    async with BlobServiceClient.from_connection_string(where) as blobs:
        container = await blobs.create_container("hello-container")
        blob = await container.upload_blob("folder/hello.txt", b"hello")
        assert await (await blob.download_blob()).readall() == b"hello"
    async with TableServiceClient.from_connection_string(where) as tables:
        table = await tables.create_table("HelloTable")
        await table.create_entity({"PartitionKey": "a", "RowKey": "", "Text": "hello"})
        assert (await table.get_entity("a", ""))["Text"] == "hello"


async def test_it_ends_with_who_started_it_also_after_a_kill() -> None:
    before = {one.pid for one in descendants()}
    with subprocess.Popen(  # noqa: ASYNC220 - at once
        [sys.executable, "-c", _STARTER],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().strip().isdigit()
        emulators = {one.pid for one in descendants()} - before - {starter.pid}
        assert len(emulators) == 1
        starter.send_signal(signal.SIGKILL)

    def has_ended() -> bool:
        return all(one.has_ended for one in descendants() if one.pid in emulators)

    await until(has_ended)
