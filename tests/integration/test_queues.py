"""Queues on real hosts and real stores, in virtual time."""

from datetime import timedelta

from tenuto import App, QueueMessage
from tenuto.testing import TestHost


async def test_a_message_reaches_its_function() -> None:
    app = App()
    told: list[tuple[QueueMessage, int]] = []

    @app.queue("numbers")
    async def note(data: int, message: QueueMessage) -> None:
        told.append((message, data))

    async with TestHost(app) as host:
        await host.client.enqueue("numbers", 7)
        await host.client.enqueue("numbers", 8, delay=timedelta(hours=1))
        await host.idle()
        assert [(one.attempt, data) for one, data in told] == [(1, 7)]
        await host.advance(timedelta(hours=2))
        assert [data for _, data in told] == [7, 8]
        assert await host.host.engine.storage.queues(host.clock.now()) == []
        assert host.problems == []
