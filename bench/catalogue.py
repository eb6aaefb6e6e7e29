"""What is measured: one figure each, with its load, its values and what we want of them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from msgspec import Struct, structs


class Scale(enum.StrEnum):
    """How much is measured.

    ``QUICK`` shows that everything runs (its figures mean nothing), ``STANDARD`` is `make bench`,
    ``FULL`` is `make bench-full`.
    """

    QUICK = enum.auto()
    STANDARD = enum.auto()
    FULL = enum.auto()


class Plan(Struct, frozen=True, kw_only=True):
    """What a child process is told to do.

    Attributes:
        load: A key of ``bench.loads.LOADS``.
        orchestrator: Name of the orchestrator.
        count: Orchestrations in the measured part.
        width: Activities in each, its input; 0 for an orchestrator without input.
        concurrency: Orchestrations in flight.
        warm_up: Orchestrations before the measured part.
        idle_seconds: How long to watch a host that has nothing to do.
    """

    load: str
    orchestrator: str = "hello_3"
    count: int = 1
    width: int = 0
    concurrency: int = 1
    warm_up: int = 100
    idle_seconds: float = 10.0


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What we want of a value; ``aim`` is what we would like."""

    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    def is_reached(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a figure. Its key names what the child reports."""

    key: str
    label: str
    unit: str
    target: Target | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A load and the values that are read from it.

    Attributes:
        quick: What differs from ``plan`` in a smoke run.
        full_only: Left out of `make bench`.
        slow_fsync: Runs with 2 ms added to every fsync.
        beside: Name of a figure; the value ``kept`` is this one's rate as a share of its rate.
        timeout: Seconds after which a process is given up.
    """

    name: str
    title: str
    plan: Plan
    values: tuple[Value, ...]
    quick: Mapping[str, int | float] = field(default_factory=dict)
    full_only: bool = False
    slow_fsync: bool = False
    beside: str | None = None
    timeout: float = 120.0

    def plan_for(self, scale: Scale) -> Plan:
        return structs.replace(self.plan, **self.quick) if scale is Scale.QUICK else self.plan


def _rate(unit: str, target: Target | None = None) -> Value:
    return Value(key="rate", label=unit, unit="/s", target=target)


def _share(target: Target | None = None) -> Value:
    return Value(key="raw_share", label="of the raw store", unit="%", target=target)


def _hello(length: int, at_least: float, kind: str = "sync", *, slow_fsync: bool = False) -> Figure:
    suffix = ("" if kind == "sync" else f"-{kind}") + ("-slow-fsync" if slow_fsync else "")
    title = f"hello sequence of {length}, {kind} activities, 1,000 concurrent"
    return Figure(
        name=f"hello-{length}{suffix}",
        title=title + (", 2 ms added to every fsync" if slow_fsync else ""),
        plan=Plan(
            load="closed_loop",
            orchestrator=f"hello_{length}" + ("" if kind == "sync" else f"_{kind}"),
            count=20_000,
            concurrency=1_000,
            warm_up=2_000,
        ),
        quick={"count": 300, "concurrency": 100, "warm_up": 100},
        values=(
            _rate("orchestrations", Target(at_least=at_least)),
            _share(Target(at_least=20, aim=40)),
        ),
        full_only=kind == "async",
    )


def _on_slow_disk(figure: Figure, at_least: float) -> Figure:
    return replace(
        figure,
        name=f"{figure.name}-slow-fsync",
        title=f"{figure.title}, 2 ms added to every fsync",
        values=(
            _rate("orchestrations", Target(at_least=at_least)),
            Value(key="kept", label=f"of {figure.name}", unit="%", target=Target(at_least=50)),
            _share(),
        ),
        slow_fsync=True,
        beside=figure.name,
    )


def _fan_out(orchestrations: int, width: int, rounds: int, target: Target | None = None) -> Figure:
    return Figure(
        name=f"fan-out-{orchestrations}x{width}",
        title=f"fan-out, {orchestrations:,} x {width:,} sync activities",
        plan=Plan(
            load="closed_loop",
            orchestrator="fan_out",
            count=rounds * orchestrations,
            width=width,
            concurrency=orchestrations,
            warm_up=orchestrations,
        ),
        quick={"count": orchestrations, "width": min(width, 200)},
        values=(_rate("activities", target), _share()),
        full_only=width >= 100_000,
    )


_LATENCY = Figure(
    name="latency",
    title="one at a time, 3 sync activities",
    plan=Plan(load="latency", count=500, warm_up=200),
    quick={"count": 30, "warm_up": 10},
    values=(
        Value(key="p50_ms", label="p50", unit="ms", target=Target(at_most=1.5)),
        Value(key="p95_ms", label="p95", unit="ms", target=Target(at_most=4)),
    ),
)

_SEQUENTIAL = Figure(
    name="sequential",
    title="2,000 and 4,000 sync activities after one another in one orchestration",
    plan=Plan(load="sequential", orchestrator="chain", width=2_000, warm_up=2),
    quick={"width": 100},
    values=(
        Value(key="seconds", label="2,000", unit="s", target=Target(at_most=0.5)),
        Value(key="twice_seconds", label="4,000", unit="s"),
        Value(key="growth", label="4,000 : 2,000", unit="x", target=Target(at_most=2.2)),
    ),
)

_STARTS = Figure(
    name="starts",
    title="starts of an orchestrator that returns at once, 1,000 concurrent",
    plan=Plan(
        load="starts", orchestrator="nothing", count=20_000, concurrency=1_000, warm_up=5_000
    ),
    quick={"count": 500, "concurrency": 100, "warm_up": 100},
    values=(_rate("starts", Target(at_least=20_000)), _share()),
)

_SLEEPERS = Figure(
    name="sleepers",
    title="100,000 instances that sleep until one moment",
    plan=Plan(
        load="sleepers",
        orchestrator="sleep_until",
        count=100_000,
        concurrency=1_000,
        warm_up=2_000,
    ),
    quick={"count": 500, "concurrency": 100, "warm_up": 100, "idle_seconds": 0.5},
    values=(
        Value(key="rate", label="starts", unit="/s"),
        Value(key="rss_mib", label="memory (RSS)", unit="MiB", target=Target(at_most=150)),
        Value(key="pss_mib", label="memory (PSS)", unit="MiB"),
        Value(key="idle_cpu", label="idle CPU", unit="%", target=Target(at_most=1)),
        Value(key="idle_queries", label="idle queries", unit="/s", target=Target(at_most=2)),
        Value(key="awake_seconds", label="all awake after", unit="s", target=Target(at_most=30)),
        Value(key="peak_mib", label="peak memory (RSS)", unit="MiB"),
    ),
    timeout=300.0,
)

_SERVING = Figure(
    name="http",
    title="requests over 32 connections beside 200 hello sequences a second; 1,000 live streams",
    plan=Plan(load="serving", orchestrator="nothing", count=10_000, warm_up=1_000, width=1_000),
    quick={"count": 320, "warm_up": 64, "width": 20},
    values=(
        _rate("starts", Target(at_least=2_000)),
        Value(key="starts_p99_ms", label="starts p99", unit="ms", target=Target(at_most=50)),
        Value(key="reads_rate", label="status reads", unit="/s", target=Target(at_least=4_000)),
        Value(key="reads_p99_ms", label="reads p99", unit="ms", target=Target(at_most=50)),
        Value(
            key="watchers_mib",
            label="memory with 1,000 streams",
            unit="MiB",
            target=Target(at_most=200),
        ),
        Value(key="before_mib", label="before them", unit="MiB"),
    ),
)

_BESIEGED = Figure(
    name="http-besieged",
    title="status reads while two callers without a key post 5 MB bodies to a made-up webhook",
    plan=Plan(load="besieged", count=2_000, warm_up=200),
    quick={"count": 100, "warm_up": 20},
    values=(
        Value(key="alone_p99_ms", label="reads p99, alone", unit="ms"),
        Value(key="beside_p99_ms", label="reads p99, beside them", unit="ms"),
        Value(key="factor", label="beside : alone", unit="x", target=Target(at_most=2)),
    ),
)

_COMMAND_LINE = Figure(
    name="command-line",
    title="a cold start of the command, from process start to end",
    plan=Plan(load="command_line", count=9),
    quick={"count": 1},
    values=(
        Value(key="help_ms", label="--help", unit="ms", target=Target(at_most=400)),
        Value(key="list_ms", label="instances list", unit="ms", target=Target(at_most=400)),
    ),
)

_QUEUES = Figure(
    name="queues",
    title="messages of a queue, put in by 64 at a time and worked on by the same host",
    plan=Plan(load="queues", count=20_000, concurrency=64, warm_up=1_000),
    quick={"count": 400, "warm_up": 100},
    values=(
        _rate("put in"),
        Value(key="worked", label="worked on", unit="/s"),
    ),
)

_TOPICS = Figure(
    name="topics",
    title="events published by 64 at a time to two subscriptions, alone and beside hello sequences",
    plan=Plan(
        load="topics", count=20_000, concurrency=64, warm_up=1_000, width=1_000, idle_seconds=5.0
    ),
    quick={"count": 400, "warm_up": 100, "width": 20, "idle_seconds": 0.5},
    values=(
        _rate("publishes, 64 at a time in this process", Target(at_least=5_000)),
        Value(key="awaited", label="publishes, each awaited before the next", unit="/s"),
        Value(key="deliveries", label="deliveries", unit="/s", target=Target(at_least=10_000)),
        Value(key="hello_alone", label="hello-3 alone", unit="/s"),
        Value(key="hello_beside", label="hello-3 beside", unit="/s"),
        Value(
            key="hello_kept",
            label="of its share of the processor",
            unit="%",
            target=Target(at_least=90),
        ),
        Value(
            key="idle_cpu",
            label="idle CPU with 1,000 subscriptions",
            unit="%",
            target=Target(at_most=1),
        ),
    ),
)

_RAW_STORE = Figure(
    name="raw-store",
    title="the history rows of hello sequences of 3, written by a plain loop, 200 a statement",
    plan=Plan(load="raw_store", count=10_000, concurrency=1_000, warm_up=1),
    quick={"count": 300, "concurrency": 100},
    values=(
        Value(key="rate", label="hello sequences of 3", unit="/s"),
        Value(key="row_rate", label="rows", unit="/s"),
        Value(key="bound_row_rate", label="rows, as bound values", unit="/s"),
    ),
)


def _crowded(finished: int, label: str) -> Figure:
    return Figure(
        name=f"crowded-{label}",
        title=f"hello sequences of 3 with {finished:,} finished instances in the file",
        plan=Plan(load="crowded", count=20_000, concurrency=1_000, warm_up=2_000, width=finished),
        quick={"count": 300, "concurrency": 100, "warm_up": 100, "width": 2_000},
        values=(
            Value(
                key="written_kb",
                label="written for each",
                unit="kB",
                target=Target(at_most=8),
            ),
            _rate("orchestrations"),
        ),
        full_only=finished > 100_000,
        timeout=300.0,
    )


def _azure(language: str, hellos: int, chain_seconds: float | None = None) -> tuple[Figure, ...]:
    """An app for Azure Functions through its real packages."""
    held = Value(key="held_ms", label="loop held up", unit="ms", target=Target(at_most=5))
    turns = Value(key="turns", label="turns", unit="", target=Target(at_most=10))
    return (
        Figure(
            name=f"azure-{language}-hello-3",
            title=f"hello sequences of 3 of an Azure Functions app in {language}, 500 at once",
            plan=Plan(load="azure", orchestrator=f"{language}:azure_hello", count=500),
            quick={"count": 20},
            values=(_rate("orchestrations", Target(at_least=hellos)), held),
            full_only=True,
        ),
        Figure(
            name=f"azure-{language}-chain-500",
            title=f"a chain of 500 activities of an Azure Functions app in {language}",
            plan=Plan(load="azure", orchestrator=f"{language}:azure_chain", count=1, width=500),
            quick={"width": 20},
            values=(
                Value(key="seconds", label="chain", unit="s", target=Target(at_most=chain_seconds)),
                held,
            ),
            full_only=True,
        ),
        Figure(
            name=f"azure-{language}-fan-out-1000",
            title=f"1,000 activities at once of an Azure Functions app in {language}",
            plan=Plan(load="azure", orchestrator=f"{language}:azure_fan_out", count=1, width=1_000),
            quick={"width": 20},
            values=(Value(key="seconds", label="fan-out", unit="s"), turns, held),
            full_only=True,
        ),
        Figure(
            name=f"azure-{language}-beside",
            title=f"a native hello beside an Azure Functions app in {language}, slow or dead",
            plan=Plan(load="azure", orchestrator=f"{language}:beside", count=500),
            quick={"count": 30},
            values=(
                Value(key="alone_p99_ms", label="p99, alone", unit="ms"),
                Value(key="native_times", label="native slow : alone", unit="x"),
                Value(key="slow_times", label="slow : alone", unit="x", target=Target(at_most=1.2)),
                Value(key="dead_times", label="dead : alone", unit="x", target=Target(at_most=1.2)),
            ),
            full_only=True,
        ),
    )


FIGURES = (
    _RAW_STORE,
    _hello(3, 10_000),
    _hello(5, 6_000),
    _hello(3, 10_000, "async"),
    _hello(5, 6_000, "async"),
    _on_slow_disk(_hello(3, 10_000), 5_000),
    _STARTS,
    _fan_out(1, 1_000, 50),
    _fan_out(10, 100, 50),
    _fan_out(1, 10_000, 5, Target(at_least=50_000)),
    _fan_out(1, 100_000, 1, Target(at_least=50_000)),
    _LATENCY,
    _SEQUENTIAL,
    _SERVING,
    _BESIEGED,
    _TOPICS,
    _QUEUES,
    _COMMAND_LINE,
    _SLEEPERS,
    _crowded(100_000, "100k"),
    _crowded(1_000_000, "1m"),
    *_azure("javascript", 700),
    *_azure("python", 400, 2.0),
)
