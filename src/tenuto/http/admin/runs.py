"""Runs over HTTP: the steps of an instance, its turns, what was after each, what can be sent."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.engine.engine import Engine
from tenuto.http.admin.run_bodies import (
    FormBody,
    MomentBody,
    RunBody,
    StepEventsBody,
    TurnBody,
    TurnsBody,
)
from tenuto.http.bodies import beside
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import (
    MOST_NUMBER,
    NUMBER,
    ON_INSTANCE,
    limit_parameter,
    row_limit,
    whole_number,
)
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.insight.follow import Follower, events_of
from tenuto.insight.forms import sendable
from tenuto.insight.here import explained_here
from tenuto.insight.past import Moment
from tenuto.insight.reading import BoundedReader, read_one
from tenuto.insight.steps import Run, as_its_host_says
from tenuto.insight.travel import Crowded, NotThere, Travel
from tenuto.model.ids import InstanceId

_LEVELS: Final = 1
_MOST_LEVELS: Final = 20
_INSTANCES: Final = 100
_MOST_INSTANCES: Final = 1_000
_STEP_BYTES: Final = 200


class RunsApi:
    """The routes that show what instances do and have done.

    Args:
        engine: Of the host.
        history_bytes: Longest history that is looked at.
    """

    def __init__(self, engine: Engine, history_bytes: int) -> None:
        self._engine = engine
        self._history_bytes = history_bytes
        self._travel = Travel(engine, history_bytes)

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    def close(self) -> None:
        """Let go of the pasts that were kept for the next look."""
        self._travel.close()

    async def run(self, call: Call) -> Response:
        instance_id = call.instance_id
        levels = whole_number(call, "levels", _LEVELS, most=_MOST_LEVELS)
        most = whole_number(call, "most", _INSTANCES, least=1, most=_MOST_INSTANCES)
        reader = BoundedReader(self._engine.storage, self._history_bytes)
        run = await Follower(reader, instance_id, most=most, levels=levels).read()
        if not run.record.status.is_finished:
            run = as_its_host_says(run, await explained_here(self._engine, run))
        return await beside(_size(run), lambda: json_answer(RunBody.of(run)))

    async def step(self, call: Call) -> Response:
        instance_id, number = call.instance_id, _step(call)
        loaded = await read_one(self._engine.storage, instance_id, self._history_bytes)
        events = await events_of(loaded, number)
        if not events:
            raise HttpError(
                f"instance {instance_id!r} has no step {number} in its current execution; "
                "`run` has their numbers",
                status=404,
            )
        generation = loaded.record.generation
        size = sum(map(len, loaded.turns))
        return await beside(
            size, lambda: json_answer(StepEventsBody.of(number, generation, events))
        )

    async def turns(self, call: Call) -> Response:
        after = whole_number(call, "after", 0)
        told = await self._travel.turns(call.instance_id, after, row_limit(call))
        turns = tuple(TurnBody.of(one) for one in told.turns)
        return json_answer(TurnsBody(generation=told.generation, turns=turns))

    async def moment(self, call: Call) -> Response:
        instance_id, turn = call.instance_id, _turn(call)
        found = await self._look(call, turn)
        if isinstance(found, Moment):
            return await beside(_size(found.run), lambda: json_answer(MomentBody.of(found)))
        raise _not_there(instance_id, turn, found)

    async def forms(self, call: Call) -> Response:
        instance_id = call.instance_id
        found = await self._look(call, None)
        if isinstance(found, Moment):
            forms = sendable(found.run, found.awaited, found.asked)
            return await beside(
                _size(found.run), lambda: json_answer([FormBody.of(one) for one in forms])
            )
        if found.turns:
            raise _not_there(instance_id, found.turns, found)
        return json_answer([])  # it has not begun

    async def _look(self, call: Call, turn: int | None) -> Moment | NotThere:
        """Look, as long as somebody waits for the answer."""
        await call.body()
        look = asyncio.ensure_future(self._travel.moment(call.instance_id, turn))
        gone = asyncio.ensure_future(call.until_gone())
        try:
            await asyncio.wait([look, gone], return_when=asyncio.FIRST_COMPLETED)
            if not look.done():
                raise HttpError("the caller went away before the answer")
            found = look.result()
        finally:
            for one in (look, gone):
                one.cancel()
            await asyncio.gather(look, gone, return_exceptions=True)
        if isinstance(found, Crowded):
            raise HttpError("too many look at instances just now; try again soon", status=503)
        return found


def _size(run: Run) -> int:
    """About how many bytes its steps are."""
    below = sum(_size(one.run) for one in run.steps if one.run is not None)
    return below + _STEP_BYTES * len(run.steps)


def _turn(call: Call) -> int:
    text = call.parameters["turn"]
    if not (text.isascii() and text.isdecimal()) or (number := _number(text)) is None:
        raise HttpError(f"the turn in the path must be a whole number from 1, got {text!r:.50}")
    return number


def _step(call: Call) -> int:
    text = call.parameters["number"]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or (number := _number(digits)) is None:
        raise HttpError(f"the step in the path must be a whole number, got {text!r:.50}")
    return -number if digits != text else number


def _number(digits: str) -> int | None:
    """A number of any length, zeros in front of it among that; None when it is too large."""
    short = digits.lstrip("0")
    number = int(short[:20] or "0")
    return None if number > MOST_NUMBER else number


def _not_there(instance_id: InstanceId, turn: int, found: NotThere) -> HttpError:
    if found.reached is not None:
        return HttpError(
            f"going through the history of instance {instance_id!r} takes long; turn "
            f"{found.reached:,} of {turn:,} is reached: ask again, and it goes on from there",
            status=503,
        )
    there = f"there are 1 to {found.turns:,}" if found.turns else "it has not begun"
    return HttpError(
        f"instance {instance_id!r} has no turn {turn:,} in its current execution; {there}",
        status=404,
    )


def _described(
    summary: str,
    answer: Answer,
    parameters: tuple[Parameter, ...] = (),
    *,
    errors: tuple[int, ...] = (404, 413),
    path: dict[str, Any] | None = None,
) -> Operation:
    return Operation(
        summary=summary,
        tag="admin",
        path_schemas={**ON_INSTANCE, **(path or {})},
        parameters=parameters,
        answers={200: answer},
        errors=errors,
    )


_RUN: Final = _described(
    "The steps of an instance's current execution, with those of its children",
    Answer(text="The instance and its steps, in the order of their beginning.", kind=RunBody),
    (
        Parameter(
            name="levels",
            text=f"How many calls down the steps of children are shown (default {_LEVELS}).",
            schema={"type": "integer", "minimum": 0, "maximum": _MOST_LEVELS},
        ),
        Parameter(
            name="most",
            text=f"The most instances whose steps are shown (default {_INSTANCES}).",
            schema={"type": "integer", "minimum": 1, "maximum": _MOST_INSTANCES},
        ),
    ),
)
_STEP: Final = _described(
    "What one step took in and brought out: the events that are about it",
    Answer(text="The events, in their order, as they are stored.", kind=StepEventsBody),
    path={"number": {"type": "integer", "minimum": -MOST_NUMBER, "maximum": MOST_NUMBER}},
)
_TURNS: Final = _described(
    "The turns of an instance's current execution, in words",
    Answer(text="The turns, oldest first; the page after the last one is empty.", kind=TurnsBody),
    (
        Parameter(
            name="after",
            text="Only later turns than this one: the last one of the page before.",
            schema=NUMBER,
        ),
        limit_parameter("turns"),
    ),
)
_MOMENT: Final = _described(
    "What an orchestrator knew after one of its turns, with its source lines and variables",
    Answer(text="The instance as it was then.", kind=MomentBody),
    errors=(404, 413, 503),
    path={"turn": {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER}},
)
_FORMS: Final = _described(
    "What people can send an instance now: the events and answers that it waits for",
    Answer(text="Events and questions, in their order.", kind=list[FormBody]),
    errors=(404, 413, 503),
)
_INSTANCE: Final = f"{ADMIN}/instances/{{instanceId}}"
_ENDPOINTS: Final[tuple[Endpoint[RunsApi], ...]] = (
    Endpoint("GET", f"{_INSTANCE}/run", Role.READ, RunsApi.run, _RUN),
    Endpoint("GET", f"{_INSTANCE}/steps/{{number}}", Role.READ, RunsApi.step, _STEP),
    Endpoint("GET", f"{_INSTANCE}/turns", Role.READ, RunsApi.turns, _TURNS),
    Endpoint("GET", f"{_INSTANCE}/turns/{{turn}}", Role.READ, RunsApi.moment, _MOMENT),
    Endpoint("GET", f"{_INSTANCE}/forms", Role.READ, RunsApi.forms, _FORMS),
)
