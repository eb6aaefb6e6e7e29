"""Inquiry: reads what an explanation of an instance is made of, and makes it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import structs

from tenuto.insight.below import Looks, below, is_child_of, waited_children
from tenuto.insight.explanation import explain
from tenuto.insight.follow import Follower
from tenuto.insight.reading import RunReader
from tenuto.insight.steps import Run
from tenuto.insight.surroundings import Surroundings
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId, split_address
from tenuto.model.status import InstanceRecord

_MOST_CHILDREN: Final = 1_000
"""So many children are looked at; of more, only their calls are known."""

Serves = Callable[[InstanceId, str], bool]
"""Whether the orchestrator of that name is there, for that instance."""


async def inquire(
    reader: RunReader,
    instance_id: InstanceId,
    around: Callable[[InstanceRecord], Surroundings],
    serves: Serves | None = None,
) -> tuple[Run, Explanation]:
    """Why an instance does not go on, with the run that says so.

    Args:
        reader: Where it is read.
        instance_id: Which one.
        around: What else is known of it.
        serves: Of its children, when that is known.

    Raises:
        InstanceNotFoundError: there is no such instance.
    """
    run = await Follower(reader, instance_id, most=1).read()
    return run, await explained(reader, run, around(run.record), serves)


async def explained(
    reader: RunReader,
    run: Run,
    around: Surroundings,
    serves: Serves | None = None,
    looks: Looks | None = None,
) -> Explanation:
    """Why an instance does not go on, whose run was read.

    Args:
        reader: Where its children are read.
        run: The run.
        around: What else is known.
        serves: Of its children, when that is known.
        looks: How those stand that are below it.
    """
    children = await waited_children(reader, run, _MOST_CHILDREN)
    if children:
        is_linked = any(split_address(name) is not None for name in children)
        found = [one for one in children.values() if one is not None]
        unserved = frozenset(_unserved(found, around, serves))
        waiting = [
            one for one in found if one.instance_id not in unserved and is_child_of(one, run.record)
        ]
        around = structs.replace(
            around,
            children=children,
            unserved=unserved,
            troubled_links=await reader.troubled_links() if is_linked else {},
            below=await below(reader, waiting, around, looks),
        )
    return explain(run, around)


def _unserved(
    children: Iterable[InstanceRecord], around: Surroundings, serves: Serves | None
) -> Iterator[InstanceId]:
    for one in children:
        is_served = serves is None or serves(one.instance_id, one.name)
        is_known = around.orchestrators is None or one.name in around.orchestrators
        if not (one.status.is_finished or (is_served and is_known)):
            yield one.instance_id
