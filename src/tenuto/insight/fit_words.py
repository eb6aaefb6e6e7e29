"""A report of a replay check in words, for a terminal and the message of a failed test. Pure."""

from collections.abc import Iterator, Sequence

from tenuto.insight.fitting import FitReport, Misfit, OrchestratorFit
from tenuto.insight.wording import one_line, unbroken
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId

Row = tuple[int, str, str]
"""How far it is indented, a label, a text."""


def fit_rows(report: FitReport, most_ids: int) -> Iterator[Row]:
    """The report, one line or paragraph in each row.

    Args:
        report: What was found.
        most_ids: So many ids are named of each misfit; it is said how many there are besides.
    """
    for fit in report.orchestrators:
        yield 0, "", _heading(fit)
        for misfit in fit.misfits:
            yield from _misfit_rows(misfit, most_ids)


def fit_lines(report: FitReport, most_ids: int) -> list[str]:
    """The same as plain lines, with the summary at their end."""
    lines = [
        f"{'  ' * indent}{f'{label:<10}' if label else ''}{text}"
        for indent, label, text in fit_rows(report, most_ids)
    ]
    return [*lines, summary(report)]


def summary(report: FitReport) -> str:
    """What it comes to, in one sentence."""
    total = report.goes_on + report.held
    if not total:
        return "there are no unfinished instances"
    if report.fits:
        return "the only instance would go on" if total == 1 else f"all {total:,} would go on"
    return f"{report.held:,} of {total:,} instances would be held"


def _heading(fit: OrchestratorFit) -> str:
    name = one_line(fit.name, 80)
    version = "" if fit.version is None else f" (version {one_line(fit.version, 40)})"
    parts = [f"{fit.goes_on:,} would go on"] if fit.goes_on else []
    if fit.held_now:
        parts[0] += f" ({fit.held_now:,} of them held now)"
    if fit.held:
        parts.append(f"{fit.held:,} would be held")
    return f"{name}{version}: {', '.join(parts)}"


def _misfit_rows(misfit: Misfit, most_ids: int) -> Iterator[Row]:
    yield 1, "reason", misfit.reason
    if misfit.recorded is not None and misfit.produced is not None:
        yield 1, "recorded", unbroken(misfit.recorded)
        yield 1, "produced", unbroken(misfit.produced)
    if misfit.reason != HoldReason.DECISIONS:  # which says the same, and where to the letter
        yield 1, "why", unbroken(misfit.message)
    yield 1, "instances", _named(misfit.instance_ids, most_ids)


def _named(ids: Sequence[InstanceId], most: int) -> str:
    named = ", ".join(one_line(one) for one in ids[:most])
    more = len(ids) - most
    return f"{named} and {more:,} more" if more > 0 else named
