"""Budgets: how much something may use before it is held. Pure."""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from tenuto.model.errors import InputError
from tenuto.model.usage import Amounts, PricePlan

HALF: Final = 0.5
"""From this share of a budget on people are warned."""

_Amount = Annotated[float, Meta(gt=0, lt=1e12)]


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be used; what is left out has no bound, one at least is given.

    Attributes:
        executions: Turns of orchestrators and attempts of activities.
        gigabyte_seconds: Memory over running time, in GiB and seconds.
        price: What a plan would charge, in its currency.
        plan: The name of that plan (``usage.prices``); given with a price.

    Raises:
        InputError: nothing is given, or a price without a plan, or the other way round.

    Example:
        >>> Budget(executions=1_000).bounded().spent(Amounts(executions=500)).share
        0.5
    """

    executions: Annotated[int, Meta(ge=1, lt=2**53)] | None = None
    gigabyte_seconds: _Amount | None = None
    price: _Amount | None = None
    plan: Annotated[str, Meta(max_length=200)] = ""

    def __post_init__(self) -> None:
        if self.executions is None and self.gigabyte_seconds is None and self.price is None:
            raise InputError(
                "a budget has at least one of executions, gigabyte_seconds and price (with plan)"
            )
        if (self.price is None) != (not self.plan):
            raise InputError(
                "a budget's price and plan belong together: plan names the prices "
                "(a table [usage.prices.NAME]) that price is counted with"
            )

    def bounded(self, plan: PricePlan | None = None) -> "BudgetBound":
        """The budget with the plan that it names."""
        return BudgetBound(self, plan)


class Spent(Struct, frozen=True):
    """How much of a budget is used.

    Attributes:
        share: Of that bound of which most is used; 1 when it is all used.
        words: ``812 of 1,000 executions``.
    """

    share: float
    words: str


class BudgetBound(Struct, frozen=True):
    """A budget that can be compared with what was used.

    Attributes:
        budget: It.
        plan: The prices that it is counted with; None when it has no price.
    """

    budget: Budget
    plan: PricePlan | None = None

    def spent(self, used: Amounts) -> Spent:
        """How much of it is used: of the bound of which most is."""
        return max(self._each(used), key=lambda one: one.share)

    def _each(self, used: Amounts) -> Iterator[Spent]:
        budget, plan = self.budget, self.plan
        if (most := budget.executions) is not None:
            yield Spent(used.executions / most, f"{used.executions:,} of {most:,} executions")
        if (bound := budget.gigabyte_seconds) is not None:
            seconds = used.gigabyte_seconds
            yield Spent(seconds / bound, f"{seconds:,.3f} of {bound:,g} GB-seconds")
        if (bound := budget.price) is not None and plan is not None:
            cost = plan.cost(used)
            words = f"{cost:,.4f} of {bound:,g} {plan.currency} (plan {budget.plan})"
            yield Spent(cost / bound, words)
