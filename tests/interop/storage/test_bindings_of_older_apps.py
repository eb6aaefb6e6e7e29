"""The same for apps of model v1: folders with ``function.json``."""

import base64
from collections.abc import Iterator

import pytest

from tests.interop.storage.served import Served, served_app
from tests.support.azurite import Azurite
from tests.support.served_apps import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[Served]:
    with served_app("python_v1", tmp_path_factory.mktemp("v1"), azurite) as found:
        yield found


def test_a_message_names_the_blob_that_is_copied(served: Served) -> None:
    account, content = served.account, bytes(range(256))
    account.upload("v1samples/raw", content)
    account.send("v1items", base64.b64encode(b"raw").decode())
    eventually(lambda: account.content("v1samples/raw-Copy") == content)


def test_a_blob_starts_a_function_that_sends_a_message(served: Served) -> None:
    served.account.upload("v1plates/a.jpg", b"B-XY 1")
    (told,) = served.account.waits_for("v1told")
    assert base64.b64decode(told) == b"v1plates/a.jpg: B-XY 1"


def test_rows_are_written_and_read_and_none_is_overwritten(served: Served) -> None:
    assert served.get("upload?id=7") == (200, b"created")
    assert served.get("messages/7") == (200, b"Table row: Output binding message")
    # As in Azure a row that is there already is an error of the call.
    status, _ = served.get("upload?id=7")
    assert status == 500
