"""Two hubs with a link between them: real servers, real HTTP, what the line does is the test's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from msgspec import structs

from tenuto import Client, Settings
from tenuto.host.host import Host
from tenuto.host.programs import Hosted
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings
from tenuto.link.options import LinkSettings
from tests.support.rough_line import RoughLine, rough_line

PLAIN = Settings()
QUICK = LinkSettings(longest_pause_seconds=0.03)


@dataclass
class Linked:
    """A device that dials, and the hub that it knows as ``hub``; the hub knows it as ``box``.

    Attributes:
        hub: The server that is dialled.
        device: The host that dials.
        line: What is between them; it is good unless a test makes it bad.
    """

    hub: Server
    device: Host
    line: RoughLine

    @property
    def there(self) -> Client:
        """A client of the hub."""
        return self.hub.host.client

    @property
    def here(self) -> Client:
        """A client of the device."""
        return self.device.client


@asynccontextmanager
async def linked(
    hub: Hosted,
    device: Hosted,
    *,
    stores: tuple[str, str] = ("sqlite://", "sqlite://"),
    links: LinkSettings = QUICK,
    hub_settings: Settings = PLAIN,
    device_settings: Settings = PLAIN,
    keys: dict[str, AccessKey] | None = None,
) -> AsyncIterator[Linked]:
    """Run both, linked.

    Args:
        hub: The functions of the hub.
        device: Those of the device.
        stores: Of the hub and of the device.
        links: What may wait at either end.
        hub_settings: What else is set at the hub.
        device_settings: What else is set at the device.
        keys: Of the hub's server.
    """
    async with AsyncExitStack() as stack:
        http = HttpSettings(port=0, keys=keys or {})
        settings = structs.replace(hub_settings, storage=stores[0], http=http, links=links)
        server = await stack.enter_async_context(Server(hub, settings=settings))
        key = await server.host.links.let_in("box")
        line = await stack.enter_async_context(rough_line(server.url))
        own = structs.replace(device_settings, storage=stores[1], links=links)
        host = Host(device, settings=own)
        host = await stack.enter_async_context(host)
        await host.links.dial(line.url, called="box", key=key)
        yield Linked(server, host, line)
