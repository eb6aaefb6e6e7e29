"""Functions whose triggers give them other names than their own: in both models of Python."""

import json
from pathlib import Path

import pytest

from tenuto.testing import TestHost
from tests.interop.azure_functions.conftest import write_app
from tests.support.azure_programs import azure_program

CHILDREN = ["RenamedChild", "renamedCHILD"]
ACTIVITIES = ["RenamedAct", "RENAMEDact"]
V2 = """
import azure.durable_functions as df

app = df.DFApp()

@app.orchestration_trigger(context_name="context", orchestration="RenamedOrch")
def orch(context):
    found = []
    for name in context.get_input()["children"]:
        found.append((yield context.call_sub_orchestrator(name)))
    for name in context.get_input()["activities"]:
        found.append((yield context.call_activity(name, name)))
    return found

@app.function_name("child_function")
@app.orchestration_trigger(context_name="context", orchestration="RenamedChild")
def child(context):
    yield context.create_timer(context.current_utc_datetime)
    return "child"

@app.activity_trigger(input_name="value", activity="RenamedAct")
def act(value): return value
"""
ORCH = """
import azure.durable_functions as df

def orch(context):
    found = []
    for name in context.get_input()["children"]:
        found.append((yield context.call_sub_orchestrator(name)))
    for name in context.get_input()["activities"]:
        found.append((yield context.call_activity(name, name)))
    return found

main = df.Orchestrator.create(orch)
"""
CHILD = """
import azure.durable_functions as df

def child(context):
    yield context.create_timer(context.current_utc_datetime)
    return "child"

main = df.Orchestrator.create(child)
"""


def described(kind: str, name: str, **members: str) -> str:
    return json.dumps({"bindings": [{"name": name, "type": kind, "direction": "in", **members}]})


V1 = {
    "orch/__init__.py": ORCH,
    "orch/function.json": described("orchestrationTrigger", "context", orchestration="RenamedOrch"),
    "child_function/__init__.py": CHILD,
    "child_function/function.json": described(
        "orchestrationTrigger", "context", orchestration="RenamedChild"
    ),
    "act/__init__.py": "def main(value): return value\n",
    "act/function.json": described("activityTrigger", "value", activity="RenamedAct"),
}


@pytest.mark.parametrize("files", [{"function_app.py": V2}, V1], ids=["v2", "v1"])
async def test_functions_are_called_by_what_their_triggers_say(
    tmp_path: Path, files: dict[str, str]
) -> None:
    program = azure_program(write_app(tmp_path / "app", files))
    assert set(program.orchestrators) == {"RenamedOrch", "RenamedChild"}
    given = {"children": CHILDREN, "activities": ACTIVITIES}
    async with TestHost(program) as test:
        for name in ("RenamedOrch", "renamedorch"):
            handle = await test.client.start(name, given)
            assert await handle.result() == ["child", "child", *ACTIVITIES]
            assert (await handle.status()).name == "RenamedOrch"


async def test_functions_are_also_called_by_the_names_in_the_code(tmp_path: Path) -> None:
    """What the package sends when it is given the function itself."""
    program = azure_program(write_app(tmp_path / "app", {"function_app.py": V2}))
    given = {"children": ["child", "child_function"], "activities": ["act"]}
    async with TestHost(program) as test:
        handle = await test.client.start("orch", given)
        assert await handle.result() == ["child", "child", "act"]
