"""Several programs as one: whose a name is, and which ones cannot be told apart."""

import pytest

from tenuto.engine.program import Program, Served
from tenuto.engine.programs import ProgramSet
from tenuto.model.errors import PayloadError, RegistrationError, UnknownFunctionError
from tests.support.foreign_program import ForeignProgram


@pytest.fixture
def programs() -> ProgramSet:
    return ProgramSet(
        [
            ForeignProgram({"order": None}, {"pay": str}, kind="left", expected=["ship", "soon"]),
            ForeignProgram({"ship": None}, {"send": str}, kind="right", elsewhere=["soon", "far"]),
        ]
    )


def test_it_is_a_program_of_all_their_functions(programs: ProgramSet) -> None:
    port: Program = programs
    port.check()
    assert port.kind == "left, right"
    assert list(port.orchestrators) == ["order", "ship"]
    assert list(port.activities) == ["pay", "send"]
    assert list(port.warnings) == ["left is but a fake", "right is but a fake"]
    assert [one.kind for one in port.descriptions] == ["left", "right"]


@pytest.mark.parametrize(
    ("name", "served", "kind"),
    [
        ("order", Served.HERE, "left"),
        ("ship", Served.HERE, "right"),
        ("soon", Served.ELSEWHERE, "right"),
        ("far", Served.ELSEWHERE, "right"),
    ],
)
def test_a_name_is_that_of_the_program_that_serves_it_best(
    programs: ProgramSet, name: str, served: Served, kind: str
) -> None:
    assert programs.serves(name) is served
    assert programs.get_orchestrator(name).tags == {"from": kind}


def test_a_name_may_come_later(programs: ProgramSet) -> None:
    later = ProgramSet([programs, ForeignProgram({}, expected=["tomorrow"])])
    assert later.serves("tomorrow") is Served.LATER
    assert later.get_orchestrator("tomorrow").name == "tomorrow"


def test_a_name_of_nobody_is_refused_with_those_of_all(programs: ProgramSet) -> None:
    assert programs.serves("orders") is Served.NEVER
    said = r"did you mean 'order'\? registered: order, ship"
    with pytest.raises(UnknownFunctionError, match=said):
        programs.get_orchestrator("orders")
    with pytest.raises(UnknownFunctionError, match=said):
        programs.check_input("orders", None)


def test_an_input_is_checked_by_its_program(programs: ProgramSet) -> None:
    programs.check_input("ship", '"text"')
    with pytest.raises(PayloadError, match="must be a text"):
        programs.check_input("ship", "7")


@pytest.mark.parametrize("name", ["order", "ORDER"])
def test_the_same_orchestrator_in_two_programs_is_refused(name: str) -> None:
    first = ForeignProgram({"order": None}, kind="left")
    second = ForeignProgram({"first": None, name: None}, kind="right")
    said = rf"orchestrator '{name}' is in two programs of this host, 'left' and 'right'; rename"
    with pytest.raises(RegistrationError, match=said):
        ProgramSet([first, second]).check()


def test_the_same_activity_in_two_programs_is_refused() -> None:
    first = ForeignProgram({}, {"pay": str}, kind="left")
    second = ForeignProgram({}, {"pay": str}, kind="right")
    said = "activity 'pay' is in two programs of this host, 'left' and 'right'; rename"
    with pytest.raises(RegistrationError, match=said):
        ProgramSet([first, second]).check()


def test_two_programs_of_a_kind_are_refused() -> None:
    said = "two programs of this host are of the kind 'foreign', and nothing tells them apart"
    with pytest.raises(RegistrationError, match=said):
        ProgramSet([ForeignProgram({}), ForeignProgram({})]).check()


def test_a_program_that_cannot_be_run_says_why(programs: ProgramSet) -> None:
    broken = ForeignProgram({}, broken="there is no node on this machine")
    with pytest.raises(RegistrationError, match="there is no node on this machine"):
        ProgramSet([programs, broken]).check()
