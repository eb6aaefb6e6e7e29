"""A server with an app of this process, and a client of each package for it."""

from collections.abc import AsyncIterator

import pytest

from tests.interop.http.native_app import native_app
from tests.interop.http.package_client import Calls, package_client
from tests.support.http_server import Serving, serving


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    async with serving(native_app()) as running:
        yield running


@pytest.fixture(params=["python", "javascript"])
async def calls(serve: Serving, request: pytest.FixtureRequest) -> AsyncIterator[Calls]:
    async with package_client(request.param) as client:
        await client.take(binding_of(serve))
        yield Calls(client)


def binding_of(serve: Serving) -> str:
    """What programs are told of the server."""
    binding = serve.server.host.client_binding(None)
    assert binding is not None
    return binding
