"""The benchmarks run and say what they measured. What they measured is nobody's business here."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.catalogue import FIGURES, Figure, Plan, Scale, Target, Value
from bench.machine import ROOT
from bench.results import from_file, summarize
from bench.runner import Runner


def _bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def _figure(plan: Plan, target: Target) -> Figure:
    value = Value(key="rate", label="orchestrations", unit="/s", target=target)
    return Figure(name="one", title="one", plan=plan, values=(value,))


def test_a_smoke_run_prints_a_table_and_writes_one_json_line_per_figure(tmp_path: Path) -> None:
    store, lines = tmp_path / "store", tmp_path / "lines.json"
    store.mkdir()
    done = _bench("--quick", "--only", "hello-3", "--dir", str(store), "--json", str(lines))
    assert done.returncode == 0, done.stderr
    assert "hello-3" in done.stdout
    assert "mean nothing" in done.stdout

    head, line = map(msgspec.json.decode, lines.read_bytes().splitlines())
    assert head["scale"] == "quick"
    assert head["machine"]["fsync_ms"] > 0
    assert line["figure"] == "hello-3"
    values = line["values"]
    assert values["rate"]["median"] > 0
    assert values["cpu_us"]["median"] > 0
    assert values["rows_per_unit"]["median"] == 4
    assert 0 < values["raw_share"]["median"] < 100
    assert "reached" not in values["rate"]
    assert list(store.iterdir()) == []


def test_bytes_are_counted_beside_finished_instances(tmp_path: Path) -> None:
    """The copies are whole: a hello sequence writes its rows, and less than a page for each."""
    lines = tmp_path / "lines.json"
    done = _bench("--quick", "--only", "crowded-1m", "--dir", str(tmp_path), "--json", str(lines))
    assert done.returncode == 0, done.stderr
    assert 1 < from_file(lines)[1][0].values["written_kb"].median < 50


def test_two_checkouts_are_held_against_each_other() -> None:
    command = [sys.executable, "-m", "bench.compare", "--rounds", "2", "--count", "50"]
    done = subprocess.run(
        [*command, str(ROOT)], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "loop thread" in done.stdout
    done = subprocess.run(
        [*command, "--at-most", "0.01", str(ROOT)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr


@pytest.mark.parametrize("tool", ["compare", "instructions"])
def test_what_is_no_checkout_is_refused(tool: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{tool}", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "src/tenuto" in done.stderr


def test_the_server_is_measured_over_http(tmp_path: Path) -> None:
    """Its callers are processes that the server lets in, like any other."""
    lines = tmp_path / "lines.json"
    done = _bench("--quick", "--only", "http", "--dir", str(tmp_path), "--json", str(lines))
    assert done.returncode == 0, done.stderr
    values = from_file(lines)[1][0].values
    assert values["rate"].median > 0
    assert values["reads_rate"].median > 0
    assert values["watchers_mib"].median > 0


def test_an_earlier_run_stands_beside_the_new_one(tmp_path: Path) -> None:
    lines = tmp_path / "lines.json"
    arguments = ("--quick", "--only", "latency", "--dir", str(tmp_path))
    assert _bench(*arguments, "--json", str(lines)).returncode == 0
    again = _bench(*arguments, "--compare", str(lines))
    assert again.returncode == 0, again.stderr
    assert "before" in again.stdout
    # Without --json the lines stand below the table.
    assert again.stdout.splitlines()[-1].startswith('{"figure":"latency"')
    assert from_file(lines)[1][0].values["p50_ms"].median > 0
    # And a file can be shown again, for a page of the docs.
    shown = _bench("--show", str(lines), "--markdown")
    assert shown.returncode == 0, shown.stderr
    assert any(line.startswith("| latency | p50") for line in shown.stdout.splitlines())


def test_a_file_that_is_no_earlier_run_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}\n")
    done = _bench("--quick", "--compare", str(path))
    assert done.returncode == 2
    assert "not a file that --json wrote" in done.stderr


def test_every_figure_is_listed() -> None:
    done = _bench("--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [one.name for one in FIGURES]


def test_a_figure_whose_process_fails_has_a_problem_and_no_values(tmp_path: Path) -> None:
    told: list[str] = []
    runner = Runner(tmp_path, Scale.QUICK, 60, told.append)
    (result,) = runner.measure([_figure(Plan(load="unheard of"), Target(at_least=1))], 3)
    assert result.repetitions == 0
    assert result.values == {}
    assert result.problem == "failed: exit code 1: KeyError: 'unheard of'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target(at_least=20), True),
        (Target(at_least=21), False),
        (Target(at_most=20), True),
        (Target(at_most=19), False),
    ],
)
def test_the_median_is_held_against_the_target(target: Target, reached: bool) -> None:
    rates = [{"rate": rate} for rate in (10.0, 40.0, 20.0)]
    figure = _figure(Plan(load="starts"), target)
    value = summarize(figure, Scale.STANDARD, rates, None).values["rate"]
    assert (value.median, value.min, value.max) == (20, 10, 40)
    assert value.reached is reached
