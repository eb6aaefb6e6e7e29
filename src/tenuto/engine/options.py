"""What the engine is told at its start."""

from typing import Literal

from msgspec import Struct

from tenuto.model.budgets import BudgetBound
from tenuto.model.limits import Limits
from tenuto.model.notices import NoticeRules
from tenuto.model.spans import SpanRules


class UsageOptions(Struct, frozen=True, kw_only=True):
    """What usage is told apart by, and bounded with.

    Attributes:
        app: How the app is called.
        tag: The key of the instances' tag whose values are told apart; empty for none.
        most_tags: How many values are told apart in a day; the others count together.
        instance_budget: What a root instance may use with all that it calls.
        day_budget: What the app may use in a day.
    """

    app: str = ""
    tag: str = ""
    most_tags: int = 1_000
    instance_budget: BudgetBound | None = None
    day_budget: BudgetBound | None = None


class EngineOptions(Struct, frozen=True, kw_only=True):
    """Settings of an engine.

    Attributes:
        limits: What one orchestration may use up.
        hot_sessions: Live sessions kept in memory at most.
        hot_session_bytes: Memory of live sessions at most, as far as it can be told.
        delivery_bytes: Of events and messages that are in hand at most.
        max_deliveries: After so many deaths of the process an instance that ran alone is held.
        on_mismatch: What becomes of an instance that the code does not fit: it is held, or, as
            tests like it, it fails at once.
        usage: What usage is told apart by.
        notices: Of what in the life of instances there are notices; None where nobody is told.
        spans: Which traces have spans; None where none are written.
    """

    limits: Limits = Limits()
    hot_sessions: int = 10_000
    hot_session_bytes: int = 64 * 1024 * 1024
    delivery_bytes: int = 64 * 1024 * 1024
    max_deliveries: int = 3
    on_mismatch: Literal["hold", "fail"] = "hold"
    usage: UsageOptions = UsageOptions()
    notices: NoticeRules | None = None
    spans: SpanRules | None = None
