"""Hosts of one store after each other, with other code each: what a deployment may do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import structs

from tenuto import App, Limits, Settings
from tenuto.engine.ports import LoadedInstance, Observer, Storage
from tenuto.model.codec import decode_message
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.messages import Message
from tenuto.model.status import InstanceRecord
from tenuto.testing import RecordingObserver, TestHost
from tests.support.replaying_observer import ForgetfulObserver


class Deployments:
    """A test host that holds, and takes other code on."""

    def __init__(self, test: TestHost) -> None:
        self.test = test

    @property
    def storage(self) -> Storage:
        return self.test.host.engine.storage

    async def deploy(self, app: App) -> None:
        """The next version."""
        self.test.app = app
        await self.test.restart()
        await self.test.idle(with_activities=False)

    async def crash(self) -> None:
        await self.test.crash()
        await self.test.idle(with_activities=False)

    async def row(self, instance_id: str) -> InstanceRecord:
        record = await self.storage.get(InstanceId(instance_id))
        assert record is not None
        return record

    async def loaded(self, instance_id: str) -> LoadedInstance:
        (found,) = await self.storage.load_instances([(await self.row(instance_id)).iid])
        return found

    async def inbox(self, instance_id: str) -> list[Message]:
        """What waits for it in the store, oldest first."""
        return [decode_message(row.message) for row in (await self.loaded(instance_id)).inbox]

    async def hold(self, instance_id: str) -> Hold | None:
        return (await self.row(instance_id)).hold

    async def check_held(self, instance_id: str, reason: HoldReason) -> Hold:
        """It is held for this reason, costs nothing and is in nobody's way."""
        await self.test.idle(with_activities=False)
        row = await self.row(instance_id)
        assert row.hold is not None
        assert row.hold.reason is reason
        assert not row.status.is_finished
        assert row.wake_at is None
        assert self.test.host.engine.residents.named(InstanceId(instance_id)) is None
        return row.hold


def untried(hold: Hold) -> Hold:
    """The same as if it had not been tried again."""
    return structs.replace(hold, tried=None)


@asynccontextmanager
async def deployments(
    app: App,
    *,
    mode: str = "hot",
    storage: str | Storage = "sqlite://",
    observer: Observer | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Deployments]:
    """Open a host that holds what does not fit; ``replayed`` forgets sessions after each commit."""
    if observer is None:
        observer = ForgetfulObserver() if mode == "replayed" else RecordingObserver()
    settings = Settings(on_mismatch="hold", limits=limits or Limits())
    test = TestHost(app, settings=settings, observer=observer, storage=storage)
    if isinstance(observer, ForgetfulObserver):
        observer.engine = lambda: test.host.engine
    async with test:
        yield Deployments(test)
