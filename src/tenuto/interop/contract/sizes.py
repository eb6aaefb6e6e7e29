"""How much an orchestrator of a package may decide: the limits that hold for native ones too.

A worker looks first, so that what is far too long is never read here; this is what counts. Only
what is new is looked at: what history has was within the limits of its day.
"""

from collections.abc import Sequence

import msgspec

from tenuto.interop.contract import actions as kinds
from tenuto.interop.contract.actions import Action
from tenuto.model.execution import ExecutionInfo
from tenuto.model.limits import check_payload, limit_error


class TurnSizes:
    """What one turn has decided so far.

    Args:
        info: Of the execution.
    """

    def __init__(self, info: ExecutionInfo) -> None:
        self._info = info
        self._bytes = 0

    def check_actions(self, actions: Sequence[Action]) -> None:
        """What the orchestrator asks for that it has not asked for before.

        Raises:
            LimitError: there are too many, or one carries too much.
        """
        limit = self._info.limits.actions_per_turn
        if len(actions) > limit:
            raise limit_error("actions_per_turn", limit, self._too_much("actions"))
        for action in actions:
            name = action.function_name
            match action.action_type:
                case kinds.CALL_ACTIVITY | kinds.CALL_ACTIVITY_WITH_RETRY:
                    self.check(action.activity_input, f"the input of activity {name!r}")
                case kinds.CALL_CHILD | kinds.CALL_CHILD_WITH_RETRY:
                    self.check(action.input_text, f"the input of orchestrator {name!r}")
                case kinds.CONTINUE_AS_NEW:
                    self.check(action.input_text, "the input of continue_as_new")
                case kinds.CALL_HTTP if action.http_request is not None:
                    text = msgspec.json.encode(action.http_request).decode()
                    self.check(text, f"the request to {action.http_request.uri[:200]}")
                case _:
                    pass

    def check(self, text: str | None, what: str) -> None:
        """One payload, and all of them together.

        Raises:
            LimitError: naming it, its length and the setting.
        """
        if text is None:
            return
        limits, facts = self._info.limits, self._info.facts
        whose = f"orchestrator {facts.name!r} (instance {facts.instance_id!r})"
        check_payload(text, limits.payload_bytes, f"{whose}: {what}")
        self._bytes += len(text)
        if self._bytes > limits.turn_bytes:
            raise limit_error("turn_bytes", limits.turn_bytes, self._too_much("bytes"))

    def _too_much(self, what: str) -> str:
        name = self._info.facts.name
        return f"orchestrator {name!r} decided more {what} in one turn than allowed"
