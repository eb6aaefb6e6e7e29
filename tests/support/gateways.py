"""Clients and HTTP of each of several hosts of one process (``tests.support.two_hosts``)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx2

from tenuto import App, Client
from tenuto.client.engine_gateway import EngineGateway
from tenuto.host.programs import program_of
from tenuto.http.options import HttpSettings
from tenuto.http.server.application import Application, Served
from tenuto.model.ids import InstanceId, partition_of
from tenuto.model.limits import Limits
from tests.support.http_in_process import BASE
from tests.support.two_hosts import Cluster, Member

_SECRET: Final = ""
"""That of members, which signs their links."""


def gateway_of(member: Member) -> EngineGateway:
    """What a client in the process of this host goes through. The host has begun."""
    return EngineGateway(member.commands, member.engine.storage, member.lifecycle.arrived)


def client_of(member: Member, app: App) -> Client:
    """A client in the process of this host."""
    return Client(gateway_of(member), program_of(app), Limits())


@asynccontextmanager
async def http_of(
    member: Member, app: App, settings: HttpSettings | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of what this host would answer over HTTP."""
    application = Application(
        Served(
            client=client_of(member, app),
            program=program_of(app),
            engine=member.engine,
            settings=settings or HttpSettings(),
            secret=_SECRET,
            version="test",
        )
    )
    await application.start()
    transport = httpx2.ASGITransport(application)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client
    application.close()
    await application.stop()


def id_on(cluster: Cluster, member: Member, begin: str) -> InstanceId:
    """An instance id of a partition that this member owns now."""
    names = (InstanceId(f"{begin}-{number}") for number in range(999))
    count = cluster.hub.partitions
    return next(name for name in names if partition_of(name, count) in member.owned)


async def move(cluster: Cluster, instance_id: str, member: Member) -> None:
    """Its partition goes to this member; whoever had it hears of that, as it does of its lease."""
    number = partition_of(InstanceId(instance_id), cluster.hub.partitions)
    await member.lifecycle.take([number])
    for one in cluster.members:
        if one is not member:
            one.engine.drop(number)
