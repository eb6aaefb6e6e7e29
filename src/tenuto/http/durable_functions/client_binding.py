"""What a program of Durable Functions is told of its host: the value of a ``durableClient``. Pure.

The packages make their clients of it. They ask the host at ``rpcBaseUrl``; the other addresses are
for people, in whose answers the packages put the id of an instance where the placeholder stands.
Every value is a text but for the two that are null: one of the packages takes each for an address.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from tenuto.http.payloads import MOUNT, management_links
from tenuto.model.ids import InstanceId

TASK_HUB: Final = "TestHubName"
"""What Durable Functions calls a task hub on a developer's machine."""

_PLACEHOLDER: Final = "INSTANCEID"
_START: Final = "/orchestrators/{functionName}[/{instanceId}]"
_WAIT: Final = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
_CONNECTION: Final = "Storage"
"""The name of the only connection there is, as Durable Functions has it by default."""


def client_binding(
    *, address: str, rpc_base_url: str, task_hub: str = TASK_HUB, code: str = ""
) -> str:
    """The value, as JSON.

    Args:
        address: Where people reach the host: scheme, host and prefix, without a slash at the end.
        rpc_base_url: Where the program does, with a slash at the end.
        task_hub: The name of the task hub; nothing is told apart by it here.
        code: Opens the addresses, all but the one that purges, which is for admins; empty when none
            is needed.

    Example:
        >>> text = client_binding(
        ...     address="http://localhost:7071",
        ...     rpc_base_url="http://127.0.0.1:7071/durabletask/secret/",
        ...     task_hub="Trips",
        ... )
        >>> '"taskHubName":"Trips"' in text
        True
    """
    opened = f"code={quote(code, safe='')}" if code else ""
    hub = f"taskHub={quote(task_hub, safe='')}&connection={_CONNECTION}"
    start = f"{address}{MOUNT}{_START}"
    links = management_links(
        address, InstanceId(_PLACEHOLDER), _joined(hub, opened), purge_query=hub
    )
    return msgspec.json.encode(
        {
            "taskHubName": task_hub,
            "creationUrls": {
                "createNewInstancePostUri": _with_query(start, opened),
                "createAndWaitOnNewInstancePostUri": _with_query(start, _joined(_WAIT, opened)),
            },
            "managementUrls": {
                **links,
                "rewindPostUri": links["suspendPostUri"].replace("/suspend?", "/rewind?"),
            },
            "baseUrl": f"{address}{MOUNT}",
            "requiredQueryStringParameters": opened,
            "rpcBaseUrl": rpc_base_url,
            "connectionName": None,
            "httpBaseUrl": None,
        }
    ).decode()


def _joined(*parts: str) -> str:
    return "&".join(part for part in parts if part)


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
