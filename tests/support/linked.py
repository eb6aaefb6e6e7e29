"""Two hubs with a link between them: real servers, real HTTP, what the line does is the test's."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tenuto import Client, Settings
from tenuto.host.host import Host
from tenuto.host.programs import Hosted
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.link.options import LinkSettings
from tests.support.cutting_proxy import CuttingProxy

Through = Callable[[str], AbstractAsyncContextManager[CuttingProxy]]

QUICK = LinkSettings(longest_pause_seconds=0.2)


@dataclass
class Linked:
    """A device that dials, and the hub that it knows as ``hub``; the hub knows it as ``box``.

    Attributes:
        hub: The server that is dialled.
        device: The host that dials.
        proxy: What stands between them, if something does.
    """

    hub: Server
    device: Host
    proxy: CuttingProxy | None

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
    through: Through | None = None,
    stores: tuple[str, str] = ("sqlite://", "sqlite://"),
    links: LinkSettings = QUICK,
) -> AsyncIterator[Linked]:
    """Run both, linked.

    Args:
        hub: The functions of the hub.
        device: Those of the device.
        through: Makes the line worse than it is.
        stores: Of the hub and of the device.
        links: What may wait at either end.
    """
    async with AsyncExitStack() as stack:
        settings = Settings(storage=stores[0], http=HttpSettings(port=0), links=links)
        server = await stack.enter_async_context(Server(hub, settings=settings))
        key = await server.host.links.let_in("box")
        url, proxy = server.url, None
        if through is not None:
            proxy = await stack.enter_async_context(through(url))
            url = proxy.url
        host = Host(device, settings=Settings(storage=stores[1], links=links))
        host = await stack.enter_async_context(host)
        await host.links.dial(url, called="box", key=key)
        yield Linked(server, host, proxy)
