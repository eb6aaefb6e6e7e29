"""An app, three partitions and a store to be slowed down, for tests of partitions that move."""

from collections.abc import Callable
from datetime import timedelta

from tenuto import App, Context, SubOrchestrationError
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.ids import InstanceId, new_execution_id, partition_of
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tests.support.two_hosts import Cluster, Member

PARTITIONS = 3

app = App()


@app.activity
async def work(number: int) -> int:
    return number


@app.orchestrator
async def works(ctx: Context) -> int:
    return await ctx.call_activity(work, 5)


@app.orchestrator
async def waits(ctx: Context) -> int:
    return await ctx.wait_for_external_event("go", int)


@app.orchestrator
async def has_child(ctx: Context) -> str:
    try:
        return str(await ctx.call_sub_orchestrator(works))
    except SubOrchestrationError as error:
        return f"failed: {error}"


@app.orchestrator
async def has_waiting_child(ctx: Context) -> int:
    return await ctx.call_sub_orchestrator(waits)


@app.orchestrator
async def chooses(ctx: Context) -> int:
    child = works.options(instance_id=f"{ctx.instance_id}-child")
    return await ctx.call_sub_orchestrator(child)


@app.orchestrator
async def collects(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def sends(ctx: Context, receiver: str, count: int) -> None:
    for number in range(count):
        ctx.send_event(receiver, "item", number)
        await ctx.call_activity(work, number)


@app.orchestrator
async def chooses_and_sends(ctx: Context, receiver: str) -> list[int]:
    child = ctx.call_sub_orchestrator(collects.options(instance_id=receiver), 6)
    for number in range(6):
        await ctx.call_activity(work, number)
        ctx.send_event(receiver, "item", number)
    return await child


@app.orchestrator
async def sleeps(ctx: Context) -> None:
    await ctx.create_timer(timedelta(seconds=650))


@app.orchestrator
async def goes_on(ctx: Context, round_: int) -> None:
    await ctx.call_activity(work, round_)
    ctx.continue_as_new(round_ + 1)


@app.orchestrator
async def spoils(ctx: Context) -> None:
    ctx.set_custom_status("no store can hold this")
    await ctx.call_activity(work, 1)


def named(begin: str, partition: int) -> InstanceId:
    """An instance id of this partition."""
    names = (InstanceId(f"{begin}{n}") for n in range(99))
    return next(name for name in names if partition_of(name, PARTITIONS) == partition)


class Slowness:
    """How many rounds of the loop a store takes for each thing that is asked of it."""

    def __init__(self) -> None:
        self.rounds = 1

    def __call__(self) -> int:
        return self.rounds


def at_commit(
    member: Member, wanted: Callable[[CommitBatch], bool], then: Callable[[], None]
) -> None:
    """Do something while the first batch that is so is on its way to the store."""
    storage = member.engine.storage
    commit = storage.commit

    async def hooked(batch: CommitBatch) -> CommitResult:
        if wanted(batch):
            storage.commit = commit  # type: ignore[method-assign]
            then()
        return await commit(batch)

    storage.commit = hooked  # type: ignore[method-assign]


async def pass_seconds(cluster: Cluster, seconds: int) -> None:
    for _ in range(seconds):
        cluster.pass_time(1)
        await cluster.rounds(15)


def outcome(cluster: Cluster, instance_id: str) -> tuple[RuntimeStatus, str | None]:
    record = cluster.hub.named(instance_id)
    assert record is not None
    return record.status, record.output


def take_the_id_of(cluster: Cluster, child: InstanceRecord) -> None:
    """Another program has made an instance under this id, past all clients."""
    now = cluster.clock.now()
    cluster.hub.start(
        InstanceRecord(
            iid=0,
            instance_id=child.instance_id,
            partition=child.partition,
            name="waits",
            execution_id=new_execution_id(now),
            created_at=now,
            updated_at=now,
            root_id=child.instance_id,
            input="null",
        )
    )
