"""An app behind the Program port."""

import pytest

from tenuto.engine.program import Program, Served
from tenuto.functions.program import NATIVE, NativeProgram
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import PayloadError, RegistrationError, UnknownFunctionError
from tenuto.orchestration.context import Context
from tests.support import cpu_work


@pytest.fixture
def program(app: FunctionRegistry) -> Program:
    @app.activity
    def fill(length: int, letter: str = "x") -> str:
        return letter * length

    @app.orchestrator(version="3")
    async def double(ctx: Context, number: int) -> int:
        return number * 2

    @app.orchestrator
    async def alone(ctx: Context) -> None: ...

    return NativeProgram(app)


def test_it_says_what_it_has(program: Program) -> None:
    assert list(program.orchestrators) == ["double", "alone"]
    assert list(program.activities) == ["fill"]
    (found,) = program.descriptions
    assert found.kind == program.kind == NATIVE
    assert [(one.name, one.version) for one in found.orchestrators] == [
        ("double", "3"),
        ("alone", None),
    ]
    (fill,) = found.activities
    assert [(one.name, one.required, one.schema) for one in fill.parameters] == [
        ("length", True, {"type": "integer"}),
        ("letter", False, {"type": "string"}),
    ]


def test_it_serves_what_it_has_and_nothing_else_ever(
    program: Program, app: FunctionRegistry
) -> None:
    assert program.serves("double") is Served.HERE
    assert program.serves("treble") is Served.NEVER

    @app.orchestrator
    async def treble(ctx: Context) -> None: ...

    assert program.serves("treble") is Served.HERE


def test_it_tells_those_who_start_what_they_must_know(program: Program) -> None:
    double, alone = map(program.get_orchestrator, ("double", "alone"))
    assert (double.name, double.version, double.tags) == ("double", "3", None)
    assert (double.signature.takes_input, alone.signature.takes_input) == (True, False)
    with pytest.raises(UnknownFunctionError, match="did you mean 'double'"):
        program.get_orchestrator("doubled")


def test_an_input_is_checked_against_the_parameters(program: Program) -> None:
    program.check_input("double", "21")
    program.check_input("alone", None)
    with pytest.raises(PayloadError, match="number"):
        program.check_input("double", '"many"')
    with pytest.raises(PayloadError, match="takes no arguments"):
        program.check_input("alone", "1")
    with pytest.raises(UnknownFunctionError, match="did you mean 'double'"):
        program.check_input("doubled", None)


def test_what_worker_processes_need_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    program = NativeProgram(cpu_work.app)
    program.check()
    monkeypatch.setattr(cpu_work, "add", "another thing of that name")
    with pytest.raises(RegistrationError, match="a worker process could not find it"):
        program.check()
