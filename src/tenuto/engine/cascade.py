"""Ending what an instance has called, once it was terminated with ``recurse``.

Owns the way down the tree. The word that goes on is a durable message to the instance that has
ended, used up in the batch that hands it on to the children: a crash in between repeats it. An
instance that had ended before hands it on all the same, since what it called may still run.
Must never end whoever has taken the id of a child meanwhile: each word names the call.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from tenuto.engine.parts import Parts
from tenuto.engine.resident import Home, Resident
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.ids import InstanceId, split_address
from tenuto.model.messages import Terminate
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import ParentInstance
from tenuto.model.timing import Microseconds

_PAGE: Final = 1_000
_REASON: Final = '"its parent was terminated"'


class Cascade:
    """Hands the end of an instance on to its children."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, resident: Resident, messages: Sequence[Terminate]) -> None:
        """An instance that has ended was told to end its children."""
        self._engine.reads += 1
        state = resident.state
        called = [one.instance_id for one in state.work.children.values()]
        facts = state.facts
        # Who begins elsewhere may not be in the store yet: the word follows its start there.
        away = {
            one.instance_id: ParentInstance(
                facts.instance_id, facts.execution_id, facts.name, task_id
            )
            for task_id, one in state.work.children.items()
            if split_address(one.instance_id) is not None
            or self._engine.find(one.instance_id) is None
        }
        handing = self._hand_on(resident, called, away, messages)
        task = self._engine.loop.create_task(handing)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._engine.reads -= 1
        if not task.cancelled() and task.exception() is not None:
            self._engine.observer.problem(None, f"children were not ended: {task.exception()!r}")

    async def _hand_on(
        self,
        resident: Resident,
        called: list[InstanceId],
        away: dict[InstanceId, ParentInstance],
        messages: Sequence[Terminate],
    ) -> None:
        engine, home = self._engine, resident.home
        instance_id, since = resident.state.instance_id, resident.state.created_at
        await self._decided(called)
        try:
            children = await self._stored(instance_id, since)
            # By id as well: by its creation time one may be older than its parent, when the clock
            # was set back.
            for record in await engine.storage.find(called):
                if record.parent is not None and record.parent.instance_id == instance_id:
                    children[record.instance_id] = record.parent
        except StorageUnavailableError as error:
            text = f"its children could not be read, and are ended after the next start: {error}"
            engine.observer.problem(instance_id, text)
            for message in messages:
                engine.callers.answer(message.message_id, error)
            return
        if not engine.is_ours(home):
            return  # whoever has it now reads the word in its inbox
        for child in engine.residents:  # whose rows may not be durable yet
            parent = child.state.facts.parent
            if parent is not None and parent.instance_id == instance_id:
                children[child.state.instance_id] = parent
        self._tell(home, children | away, messages)

    def _tell(
        self,
        home: Home,
        children: dict[InstanceId, ParentInstance],
        messages: Sequence[Terminate],
    ) -> None:
        engine = self._engine
        batch = engine.pipeline.batch
        for child, link in children.items():
            word = Terminate(
                message_id=engine.next_message_id(),
                reason=_REASON,
                recurse=True,
                child_of=link.execution_id,
                task_id=link.task_scheduled_id,
            )
            engine.booking.send(word, child, batch)
        for message in messages:
            batch.consume(message, home.number)
            engine.booking.acknowledge(message.message_id, batch)
        batch.acknowledge.append(partial(home.delivery.lands, messages))
        engine.schedule_pump()

    async def _decided(self, called: list[InstanceId]) -> None:
        """Wait until it is known who has the ids of those it has called."""
        find = self._engine.find
        while True:
            for child in called:
                home = find(child)
                if home is not None and home.starts.is_deciding(child):
                    await home.starts.decided(child)
                    break
            else:
                return

    async def _stored(
        self, instance_id: InstanceId, since: Microseconds
    ) -> dict[InstanceId, ParentInstance]:
        """The children with their calls, not those of an earlier instance of that id."""
        found: dict[InstanceId, ParentInstance] = {}
        after: str | None = None
        while True:
            query = InstanceQuery(
                parent=instance_id,
                created_from=since,
                limit=_PAGE,
                after=after,
                order="oldest",
                payloads=False,
            )
            page = await self._engine.storage.query(query)
            found |= {one.instance_id: one.parent for one in page.records if one.parent is not None}
            after = page.after
            if after is None:
                return found
