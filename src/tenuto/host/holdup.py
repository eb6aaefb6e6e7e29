"""Noticing that what somebody waits for is held: a run in a script must not hang without a word.

Looks a few times a second, as only runs in the foreground need it. Never changes anything.
"""

import asyncio
from typing import Any, Final

from tenuto.client.client import OrchestrationHandle
from tenuto.host.host import Host
from tenuto.insight.advice import command
from tenuto.model.errors import InstanceStateError
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId

_PAUSE: Final = 0.25


async def until_held(host: Host, instance_id: InstanceId) -> Hold:
    """Return once an instance is held and this host has tried it; else never."""
    seen = None
    while True:
        await asyncio.sleep(_PAUSE)
        record = await host.engine.storage.get(instance_id)
        hold = None if record is None or record.status.is_finished else record.hold
        if hold is None or _may_go_on(host, instance_id):
            seen = None
        elif seen == hold:  # twice, as a first look may be older than the try
            return hold
        else:
            seen = hold


async def result_unless_held(host: Host, handle: OrchestrationHandle[Any]) -> Any:  # noqa: ANN401 - the user's result
    """The result of an instance.

    Raises:
        InstanceStateError: it is held.
    """
    instance_id = InstanceId(handle.instance_id)
    result = asyncio.ensure_future(handle.result())
    held = asyncio.ensure_future(until_held(host, instance_id))
    try:
        await asyncio.wait([result, held], return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise held_error(instance_id, held.result())
        return result.result()
    finally:
        result.cancel()
        held.cancel()
        await asyncio.gather(result, held, return_exceptions=True)


def _may_go_on(host: Host, instance_id: InstanceId) -> bool:
    engine = host.engine
    is_here = engine.residents.named(instance_id) is not None
    return is_here or engine.careful is not None or engine.is_loading


def held_error(instance_id: InstanceId, hold: Hold) -> InstanceStateError:
    """What a run says that ends because its instance is held."""
    return InstanceStateError(
        instance_id,
        f"is held ({hold.reason}), and nothing of it is lost; run it again with the same id when "
        f"the code fits, or end it with {command('instances fail', instance_id)}. What holds it: "
        f"{hold.message}",
    )
