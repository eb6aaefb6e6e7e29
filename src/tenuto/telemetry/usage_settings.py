"""What the one who runs a host decides of usage: how it is told apart, kept, priced, bounded."""

from typing import Annotated

from msgspec import Meta, Struct

from tenuto.model.budgets import Budget, BudgetBound
from tenuto.model.errors import InputError, SettingsError
from tenuto.model.usage import PricePlan

_Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class UsageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How usage is told apart, how long it is kept, and what it would cost.

    Attributes:
        app: How the app of this host is called; empty for the kind of its program.
        tag: The key of the tag of instances whose values are told apart, such as ``customer``;
            empty for none.
        most_tags: How many values of the tag are told apart in a day; the others count together.
        keep_days: How long the figures of a day are kept.
        prices: Plans by name; what they would charge is shown beside what was used.
        instance_budget: What one root instance may use with all that it calls; None for no bound.
        day_budget: What the app may use in a day (UTC); None for no bound.

    Raises:
        SettingsError: a budget names a plan that is not among the prices.
    """

    app: _Name = ""
    tag: _Name = ""
    most_tags: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] = 400
    prices: dict[str, PricePlan] = {}
    instance_budget: Budget | None = None
    day_budget: Budget | None = None

    def __post_init__(self) -> None:
        for name in ("instance_budget", "day_budget"):
            try:
                self.bound_of(getattr(self, name))
            except InputError as error:
                raise SettingsError(f"usage.{name}: {error}") from None

    def bound_of(self, budget: Budget | None) -> BudgetBound | None:
        """A budget with the plan that it names.

        Raises:
            InputError: there is no such plan.
        """
        if budget is None:
            return None
        return budget.bounded(self.plan(budget.plan) if budget.plan else None)

    def plan(self, name: str) -> PricePlan:
        """The plan of that name.

        Raises:
            InputError: there is none; says which there are.
        """
        found = self.prices.get(name)
        if found is None:
            known = ", ".join(sorted(self.prices))
            there = f"the settings have {known}" if known else "the settings have none"
            raise InputError(
                f"there is no price plan {name!r}; {there} (tables [usage.prices.NAME])"
            )
        return found
