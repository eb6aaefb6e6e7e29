"""Connections to Azure Storage: clients of its queues, blobs and tables, made when they are used.

Owns what all of them have in common: how a connection string is read, how often a request is tried,
and that no secret of it is ever shown.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Final, TypeAlias, TypeVar

from tenuto.model.errors import SettingsError

T = TypeVar("T")
QueueClient: TypeAlias = Any
ContainerClient: TypeAlias = Any
TableClient: TypeAlias = Any
"""Of the packages of Azure, which may be missing."""

PACKAGES: Final = ("azure.storage.queue", "azure.storage.blob", "azure.data.tables", "aiohttp")
_EMULATOR: Final = "devstoreaccount1"
_EMULATOR_KEY: Final = (  # of every emulator: it is published
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoMGMw=="
)
_EMULATOR_VERSION: Final = "2023-11-03"
"""Of the protocol. Each new package speaks a newer one, which emulators do not know for months."""
_PORTS: Final = {"BlobEndpoint": 10000, "QueueEndpoint": 10001, "TableEndpoint": 10002}
_TRIES: Final = {
    "retry_total": 2,
    "initial_backoff": 0.2,
    "increment_base": 2,
    "random_jitter_range": 0.2,
}
"""Of each request: listeners go on anyway, and who calls a function has not all day."""
_PART: Final = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*")


def missing_package() -> str | None:
    """The first of the packages of the extra ``azure`` that is not installed; None for none."""
    for name in PACKAGES:
        try:
            found = find_spec(name)
        except ModuleNotFoundError:  # not even what it stands in
            found = None
        if found is None:
            return name.replace(".", "-")
    return None


def parts_of(connection: str) -> dict[str, str]:
    """What a connection string says, names in small letters.

    Raises:
        SettingsError: it is none. Never shows it.
    """
    parts = {}
    for one in filter(str.strip, connection.split(";")):
        match = _PART.fullmatch(one)
        if match is None:
            raise SettingsError(
                "a connection string is Name=Value;Name=Value, such as UseDevelopmentStorage=true"
            )
        parts[match[1].lower()] = match[2]
    if not parts:
        raise SettingsError("a connection string is empty")
    return parts


def is_of_tenuto(connection: str) -> bool:
    """Whether a connection string says that Tenuto's own queues are meant: ``UseTenuto=true``."""
    return parts_of(connection).get("usetenuto", "").lower() == "true"


def whole(connection: str) -> str:
    """A connection string as the packages of Azure read it: the emulator's shorthand spelt out."""
    parts = parts_of(connection)
    if parts.get("usedevelopmentstorage", "").lower() != "true":
        return connection
    proxy = parts.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
    services = "".join(f"{name}={proxy}:{port}/{_EMULATOR};" for name, port in _PORTS.items())
    return (
        f"DefaultEndpointsProtocol=http;AccountName={_EMULATOR};AccountKey={_EMULATOR_KEY};"
        f"{services}"
    )


def reason(error: BaseException) -> str:
    """What an error of Azure says, in a line: what follows the first shows parts of requests."""
    lines = str(error).strip().splitlines()
    code = _code(error)
    first = lines[0].rstrip(".") if lines else type(error).__name__
    return first if code is None or code in first else f"{code}: {first}"


async def with_place(act: Callable[[], Awaitable[T]], make: Callable[[], Awaitable[Any]]) -> T:
    """Do something in a queue, a container or a table, which is made when it is not there."""
    from azure.core.exceptions import (  # noqa: PLC0415 - an extra
        HttpResponseError,
        ResourceExistsError,
        ResourceNotFoundError,
    )

    try:
        return await act()
    except HttpResponseError as error:
        # A transaction has an error of its own.
        if not isinstance(error, ResourceNotFoundError) and _code(error) != "TableNotFound":
            raise
    with suppress(ResourceExistsError):  # somebody else was quicker
        await make()
    return await act()


def _code(error: BaseException) -> str | None:
    code = getattr(error, "error_code", None)
    code = getattr(code, "value", code)
    return None if code is None else str(code)


class Accounts:
    """The services of accounts, each connected once, on the loop that uses it."""

    def __init__(self) -> None:
        # It has two lines for each look into a queue, for whoever logs what informs.
        requests = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
        if requests.level == logging.NOTSET:
            requests.setLevel(logging.WARNING)
        self._services: dict[tuple[str, str], Any] = {}

    def queue(self, connection: str, name: str) -> QueueClient:
        """A queue. Its messages are texts as they are: nothing is encoded or decoded."""
        from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 - an extra

        return self._service(QueueServiceClient, connection).get_queue_client(name)

    def container(self, connection: str, name: str) -> ContainerClient:
        """A container of blobs."""
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 - an extra

        return self._service(BlobServiceClient, connection).get_container_client(name)

    def table(self, connection: str, name: str) -> TableClient:
        """A table."""
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415 - an extra

        return self._service(TableServiceClient, connection).get_table_client(name)

    async def close(self) -> None:
        """Close all connections."""
        services, self._services = list(self._services.values()), {}
        for one in services:
            await one.close()

    def _service(self, kind: Any, connection: str) -> Any:  # noqa: ANN401 - of Azure
        key = kind.__name__, connection
        if key not in self._services:
            text = whole(connection)
            is_emulated = parts_of(text).get("accountname") == _EMULATOR
            options: dict[str, Any] = dict(_TRIES)
            if is_emulated and kind.__name__ != "TableServiceClient":
                options["api_version"] = _EMULATOR_VERSION
            try:
                self._services[key] = kind.from_connection_string(text, **options)
            except ValueError:  # its text may show the string
                raise SettingsError(
                    "a connection string has not what it needs: an account with its key, or "
                    "endpoints with a shared access signature"
                ) from None
        return self._services[key]
