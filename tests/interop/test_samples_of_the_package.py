"""Apps that nobody here wrote: the samples in the source of azure-functions-durable, unmodified."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support.azure_programs import SAMPLES
from tests.support.json_requests import ask
from tests.support.served_apps import INTERPRETERS, ended, serving
from tests.support.terminal import tenuto

CITIES = ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]


class Sample(Struct, frozen=True):
    """A sample, the path of its starter, and what comes of it."""

    name: str
    starter: str
    output: object
    status: object = None

    def __str__(self) -> str:
        return self.name


ENDING = [
    Sample("samples-v2/function_chaining", "/api/orchestrators/my_orchestrator", CITIES),
    Sample("samples-v2/blueprint", "/api/startOrchestrator", CITIES),
    Sample("samples/function_chaining", "/api/orchestrators/E1_HelloSequence", CITIES),
    Sample(
        "samples/simple_sub_orchestration",
        "/api/orchestrators/DurableOrchestrator",
        "Hello Seattle!",
    ),
    Sample("samples/serialize_arguments", "/api/orchestrators/DurableOrchestration", 5),
    Sample(
        "samples/function_chaining_custom_status",
        "/api/orchestrators/DurableOrchestration",
        3,
        "1 -> 2 -> 3",
    ),
]


@pytest.fixture(autouse=True)
def _interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)


def sample(name: str, tmp_path: Path) -> Path:
    """A copy: its store is beside it."""
    return Path(shutil.copytree(SAMPLES / name, tmp_path / "app"))


def started(url: str, path: str) -> dict[str, Any]:
    """What the sample's own starter answers."""
    status, links = ask("POST", f"{url}{path}")
    assert status == 202, links
    return dict(links)


@pytest.mark.parametrize("one", ENDING, ids=str)
def test_a_sample_ends_as_it_says(one: Sample, tmp_path: Path) -> None:
    with serving(sample(one.name, tmp_path)) as (_, url):
        found = ended(started(url, one.starter)["statusQueryGetUri"])
    assert (found["runtimeStatus"], found["output"]) == ("Completed", one.output)
    assert found["customStatus"] == one.status


def test_the_sample_of_versions_goes_on_after_its_event(tmp_path: Path) -> None:
    with serving(sample("samples-v2/orchestration_versioning", tmp_path)) as (_, url):
        old = started(url, "/api/orchestrators/my_orchestrator?version=1.0")
        new = started(url, "/api/orchestrators/my_orchestrator?version=2.0")
        outputs = []
        for links in (old, new):
            event = links["sendEventPostUri"].replace("{eventName}", "Continue")
            assert ask("POST", event, {})[0] == 202
            outputs.append(ended(links["statusQueryGetUri"])["output"])
    for output, version, greeting in zip(outputs, ("1.0", "2.0"), ("A", "B"), strict=True):
        assert output[0] == f"Orchestration version: {version}"
        assert output[1] == "Suborchestration version (explicit): 0.9"
        assert output[3] == f"Hello from {greeting}!"


def test_the_sample_of_entities_starts_and_only_its_calls_are_refused(tmp_path: Path) -> None:
    with serving(sample("samples/counter_entity", tmp_path)) as (command, url):
        assert "function 'Counter' is an entity: entities are not served yet" in command.err
        links = started(url, "/api/orchestrators/DurableOrchestration")
        found = ended(links["statusQueryGetUri"])
    assert found["runtimeStatus"] == "Failed"
    assert "signal to entity @counter@myCounter: entities cannot be used" in found["output"]


@pytest.mark.parametrize("name", ["human_interaction", "monitor"])
def test_a_sample_with_another_binding_is_refused_before_it_runs(name: str, tmp_path: Path) -> None:
    folder = sample(f"samples/{name}", tmp_path)
    found = tenuto(folder, "azure", "check", ".")
    assert (found.returncode, "twilioSms" in found.stdout) == (1, True), found
    found = tenuto(folder, "start", ".", "--port", "0")
    assert (found.returncode, "twilioSms" in found.stderr) == (2, True), found
