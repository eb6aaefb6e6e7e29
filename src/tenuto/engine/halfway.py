"""Says when an orchestration has used up half of a limit, so that nobody is surprised by its end.

Each limit is told once for each instance or tree; nothing here stops anything. ``model.limits``
has the limits, the turn and the session stop who crosses one.
"""

from tenuto.engine.ports import Observer
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.step import Step
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits

_REMEMBERED = 10_000


class HalfwayMarks:
    """Watches the limits of one engine.

    Attributes:
        events: A history with no more events has used up half of nothing.
        bytes: Nor has a payload in a turn that is no longer.
    """

    def __init__(self, limits: Limits, observer: Observer) -> None:
        self._limits = limits
        self._observer = observer
        self._told: set[tuple[str, InstanceId]] = set()
        self._events = limits.history_events // 2
        self._actions = limits.actions_per_turn // 2
        self.events: int = min(self._events, self._actions)
        self.bytes: int = limits.payload_bytes // 2
        self._generations = limits.generations_per_minute // 2

    def look_at(self, state: InstanceState, turn: Step) -> None:
        """After a turn that may have come near one, or began a new generation."""
        if state.event_count > self._events:
            what = f"history holds {state.event_count:,} events"
            self._tell(state.instance_id, what, "history_events")
        if turn.actions > self._actions:
            what = f"{turn.actions:,} actions were decided in one turn"
            self._tell(state.instance_id, what, "actions_per_turn")
        if len(turn.row) > self.bytes:
            self._look_at_payloads(state, turn)
        if turn.seed and state.quick_generations > self._generations:
            what = f"{state.quick_generations:,} generations followed each other without a wait"
            self._tell(state.instance_id, what, "generations_per_minute")

    def look_at_child(self, child: InstanceState, open_descendants: int) -> None:
        """After each start of a child."""
        limits, facts = self._limits, child.facts
        if 2 * open_descendants > limits.open_descendants:
            what = f"{open_descendants:,} instances below it are open"
            self._tell(facts.root_id, what, "open_descendants")
        if 2 * facts.depth > limits.nesting_depth:
            what = f"instance {child.instance_id!r} is {facts.depth} levels below it"
            self._tell(facts.root_id, what, "nesting_depth")

    def _look_at_payloads(self, state: InstanceState, turn: Step) -> None:
        for event in turn.events:
            for name in ("input", "result"):
                text = getattr(event, name, None)
                if text is not None and (size := len(text.encode())) > self.bytes:
                    what = f"the {name} of {type(event).__name__} takes {size:,} bytes"
                    self._tell(state.instance_id, what, "payload_bytes")

    def _tell(self, instance_id: InstanceId, what: str, setting: str) -> None:
        if (setting, instance_id) in self._told:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add((setting, instance_id))
        limit = getattr(self._limits, setting)
        self._observer.problem(
            instance_id,
            f"{what}, more than half of the limit {limit:,} (setting limits.{setting})",
        )
