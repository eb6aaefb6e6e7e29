"""Inquiry: reads what an explanation of an instance is made of, and makes it."""

from collections.abc import Callable
from typing import Final

from msgspec import structs

from tenuto.insight.explanation import explain
from tenuto.insight.follow import Follower
from tenuto.insight.reading import RunReader
from tenuto.insight.steps import Run, StepKind
from tenuto.insight.surroundings import Surroundings
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord

_MOST_CHILDREN: Final = 20
"""So many children are looked at; of more, only their calls are known."""


async def inquire(
    reader: RunReader, instance_id: InstanceId, around: Callable[[InstanceRecord], Surroundings]
) -> tuple[Run, Explanation]:
    """Why an instance does not go on, with the run that says so.

    Args:
        reader: Where it is read.
        instance_id: Which one.
        around: What else is known of it.

    Raises:
        InstanceNotFoundError: there is no such instance.
    """
    run = await Follower(reader, instance_id, most=1).read()
    return run, await explained(reader, run, around(run.record))


async def explained(reader: RunReader, run: Run, around: Surroundings) -> Explanation:
    """Why an instance does not go on, whose run was read.

    Args:
        reader: Where its children are read.
        run: The run.
        around: What else is known.
    """
    wanted = [
        step.instance_id
        for step in run.open_steps()
        if step.kind is StepKind.CHILD and step.instance_id is not None
    ][:_MOST_CHILDREN]
    if wanted:
        found = {one.instance_id: one for one in await reader.rows(wanted)}
        around = structs.replace(around, children={name: found.get(name) for name in wanted})
    return explain(run, around)
