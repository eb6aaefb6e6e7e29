"""An app of these tests, served by ``tenuto start``, and the account that it speaks with."""

import json
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.support.azure_programs import copied
from tests.support.azurite import Azurite
from tests.support.served_apps import INTERPRETERS, eventually, serving

APPS = Path(__file__).parent / "apps"


class Account:
    """The queues, blobs and tables of an emulator, made when they are first used."""

    def __init__(self, azurite: Azurite) -> None:
        text = azurite.connection_string
        self._queues: Any = QueueServiceClient.from_connection_string(text)
        self._blobs: Any = BlobServiceClient.from_connection_string(text)
        self._tables: Any = TableServiceClient.from_connection_string(text)

    def send(self, queue: str, text: str) -> None:
        with suppress(ResourceExistsError):
            self._queues.create_queue(queue)
        self._queues.get_queue_client(queue).send_message(text)

    def received(self, queue: str) -> list[str]:
        """What is in a queue; it is taken out."""
        client = self._queues.get_queue_client(queue)
        try:
            found = list(client.receive_messages())
        except ResourceNotFoundError:
            return []
        for one in found:
            client.delete_message(one)
        return [str(one.content) for one in found]

    def waits_for(self, queue: str, count: int = 1) -> list[str]:
        """Messages of a queue, as soon as there are so many."""
        found: list[str] = []

        def enough() -> bool:
            found.extend(self.received(queue))
            return len(found) >= count

        eventually(enough)
        return found

    def upload(self, path: str, content: bytes, **options: Any) -> None:
        container, _, name = path.partition("/")
        with suppress(ResourceExistsError):
            self._blobs.create_container(container)
        self._blobs.get_blob_client(container, name).upload_blob(content, overwrite=True, **options)

    def content(self, path: str) -> bytes | None:
        container, _, name = path.partition("/")
        try:
            return bytes(self._blobs.get_blob_client(container, name).download_blob().readall())
        except ResourceNotFoundError:
            return None

    def delete(self, path: str) -> None:
        container, _, name = path.partition("/")
        self._blobs.get_blob_client(container, name).delete_blob()

    def names(self, container: str, prefix: str = "") -> list[str]:
        found = self._blobs.get_container_client(container).list_blobs(prefix)
        return [str(one.name) for one in found]

    def insert(self, table: str, *rows: dict[str, Any]) -> None:
        client = self._tables.create_table_if_not_exists(table)
        for row in rows:
            client.upsert_entity(row)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(one) for one in self._tables.get_table_client(table).list_entities()]

    def close(self) -> None:
        for one in (self._queues, self._blobs, self._tables):
            one.close()


class Served:
    """A served app."""

    def __init__(self, folder: Path, url: str, account: Account) -> None:
        self.folder = folder
        self.url = url
        self.account = account

    @property
    def noted(self) -> list[str]:
        """What functions have noted."""
        path = self.folder / "noted"
        return path.read_text().splitlines() if path.exists() else []

    def get(self, path: str) -> tuple[int, bytes]:
        """What a function answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/{path}", timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def queued(self, queue: str) -> list[Any]:
        """What is in a queue of Tenuto."""
        with closing(sqlite3.connect(self.folder / "tenuto.db")) as store:
            sql = "SELECT data FROM queued WHERE queue = ?"
            return [json.loads(data) for (data,) in store.execute(sql, (queue,))]


@contextmanager
def served_app(name: str, place: Path, azurite: Azurite) -> Iterator[Served]:
    """The app of a folder of these tests, with settings of this account."""
    folder = copied(APPS / name, place)
    values = {
        "AzureWebJobsStorage": azurite.connection_string,
        "STORAGE_CONNECTION": azurite.connection_string,
        "OUT_QUEUE": f"{name}out",
        "COPY": "copy",
        "NOTED": str(folder / "noted"),
        **INTERPRETERS,
    }
    (folder / "local.settings.json").write_text(json.dumps({"Values": values}))
    with closing(Account(azurite)) as account, serving(folder) as (command, url):
        yield Served(folder, url, account)
        command.send(signal.SIGTERM)
        command.end()
        assert "Unclosed" not in command.err, "connections are closed at the end"
        assert azurite.connection_string not in command.err
