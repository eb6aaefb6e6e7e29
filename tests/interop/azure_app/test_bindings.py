"""Bindings: those that are not served are refused by name, with function and place."""

from collections.abc import Mapping
from typing import Any

import pytest

from tenuto.interop.azure_app.folder.bindings import (
    KNOWN_BINDINGS,
    check_functions,
    running_functions,
)
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.host_json import HostOptions
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import AppLoadError
from tenuto.model.timer_schedule import parse_schedule

HTTP_OUT: Mapping[str, Any] = {"type": "http", "name": "$return", "direction": "out"}


def function(
    name: str, *types: str, file: str | None = None, line: int | None = None, **more: object
) -> FunctionFacts:
    bindings: list[Mapping[str, Any]] = [{"type": one, "name": "it", **more} for one in types]
    return FunctionFacts(name=name, bindings=bindings, file=file, line=line)


def said(*functions: FunctionFacts) -> list[tuple[Level, str]]:
    return [(one.level, one.text) for one in check_functions(functions)]


def test_functions_of_known_bindings_are_fine() -> None:
    http = FunctionFacts(name="start", bindings=[{"type": "httpTrigger"}, HTTP_OUT])
    assert (
        said(
            http,
            function("a", "orchestrationTrigger"),
            function("b", "ACTIVITYTRIGGER"),
            function("c", "timerTrigger", "durableClient", schedule="0 */5 * * * *"),
        )
        == []
    )


def test_an_unknown_binding_is_refused_with_those_that_are_known() -> None:
    facts = function("orders", "cosmosDBTrigger", file="orders.py", line=7)
    (found,) = check_functions([facts])
    assert found.level is Level.UNSUPPORTED
    expected = "function 'orders' has the binding cosmosDBTrigger (it), which is not served"
    assert found.text == expected
    assert found.place == "orders.py:7"
    assert all(known in found.advice for known in KNOWN_BINDINGS)


def test_a_binding_needs_a_type() -> None:
    facts = FunctionFacts(name="a", bindings=[{"name": "x"}, {"type": "activityTrigger"}])
    assert said(facts) == [(Level.UNSUPPORTED, "function 'a' has a binding ? (x) without a type")]


def test_a_function_has_one_trigger() -> None:
    facts = [
        FunctionFacts(name="none", bindings=[HTTP_OUT]),
        FunctionFacts(
            name="two", bindings=[{"type": "activityTrigger"}, {"type": "orchestrationTrigger"}]
        ),
    ]
    assert said(*facts) == [
        (Level.UNSUPPORTED, "function 'none' has no trigger"),
        (
            Level.UNSUPPORTED,
            "function 'two' has several triggers: activityTrigger, orchestrationTrigger",
        ),
    ]


def test_names_are_compared_without_regard_to_case() -> None:
    facts = [
        function("Hello", "activityTrigger", file="a.py", line=3),
        function("hello", "activityTrigger", file="b.py", line=9),
        function("hello", "activityTrigger"),
    ]
    found = check_functions(facts)
    assert [(one.text, one.place) for one in found] == [
        ("function 'hello' is there twice, first in a.py:3 as 'Hello'", "b.py:9"),
        ("function 'hello' is there twice, first in a.py:3 as 'Hello'", ""),
    ]
    same = [function("a", "activityTrigger", file="x.py"), function("a", "activityTrigger")]
    assert said(*same) == [(Level.UNSUPPORTED, "function 'a' is there twice, first in x.py")]


def test_http_without_an_output_is_a_note() -> None:
    assert said(function("start", "httpTrigger")) == [
        (Level.NOTE, "function 'start' is behind HTTP and has no output of the type http")
    ]


def test_entities_and_the_second_durable_package_start_and_are_noted() -> None:
    facts = [
        function("Counter", "entityTrigger", durableRequiresGrpc=True),
        function("travel", "orchestrationTrigger", durableRequiresGrpc=True),
        function("flight", "activityTrigger", durableRequiresGrpc=False),
    ]
    assert said(*facts) == [
        (Level.NOTE, "function 'Counter' is an entity: entities are not served yet"),
        (
            Level.NOTE,
            "function 'travel' is of azure-functions-durable 2, whose protocol is not served yet",
        ),
    ]


@pytest.mark.parametrize("schedule", [None, "", "  ", 5])
def test_a_timer_needs_a_schedule(schedule: object) -> None:
    assert said(function("tick", "timerTrigger", schedule=schedule)) == [
        (Level.UNSUPPORTED, "function 'tick' is run by a timer and has no schedule")
    ]


def test_a_schedule_is_read_by_whom_it_is_given_to() -> None:
    def parse(text: str) -> None:
        if text != "0 0 * * * *":
            raise ValueError(f"there is no such time: {text}")

    facts = [
        function("good", "timerTrigger", schedule="0 0 * * * *"),
        function("bad", "timerTrigger", schedule="99 * * * * *"),
        function("set", "timerTrigger", schedule="%Every%"),
    ]
    (found,) = check_functions(facts, parse_schedule=parse)
    assert found.text == "function 'bad' has a schedule that cannot be read"
    assert found.advice == "there is no such time: 99 * * * * *"


# --- settings -----------------------------------------------------------------------------------


def test_settings_take_the_places_that_name_them() -> None:
    facts = FunctionFacts(
        name="tick",
        bindings=[
            {
                "type": "timerTrigger",
                "name": "%Every%",
                "schedule": "%Every%",
                "runOnStartup": True,
            },
            {"type": "durableClient", "name": "c", "taskHub": "%hub%", "connection": "%Nothing%"},
        ],
    )
    settings = AppSettings({"Every": "0 0 * * * *", "Hub": "Travel"}, {})
    (found,) = running_functions([facts], HostOptions(), settings)
    assert list(found.bindings) == [
        {"type": "timerTrigger", "name": "%Every%", "schedule": "0 0 * * * *",
         "runOnStartup": True},
        {"type": "durableClient", "name": "c", "taskHub": "Travel", "connection": "%Nothing%"},
    ]  # fmt: skip


def test_a_missing_setting_names_function_binding_and_property() -> None:
    facts = function("tick", "timerTrigger", schedule="%Every%", file="app.py", line=4)
    with pytest.raises(AppLoadError) as refused:
        running_functions([facts], HostOptions(), AppSettings({}, {}))
    assert str(refused.value) == (
        "app.py:4: function 'tick' has the setting 'Every' as schedule of its binding timerTrigger "
        "(it), which is not there or empty; put it into local.settings.json, or into the "
        "environment"
    )
    (found,) = check_functions([facts], settings=AppSettings({}, {}), parse_schedule=len)
    assert (found.place, found.level) == ("app.py:4", Level.UNSUPPORTED)
    assert "has the setting 'Every' as schedule" in found.text


def test_a_setting_that_is_no_schedule_is_named_and_not_shown() -> None:
    facts = [function(name, "timerTrigger", schedule=f"%{name}%") for name in ("good", "bad")]
    settings = AppSettings({"good": "0 0 * * * *", "bad": "Password=hunter2"}, {})
    (found,) = check_functions(facts, settings=settings, parse_schedule=parse_schedule)
    assert found.text == "function 'bad' has a schedule that cannot be read"
    assert found.advice == "correct the setting in '%bad%'"


def test_functions_that_are_left_out_or_switched_off_are_not_run() -> None:
    facts = [function(name, "timerTrigger", schedule="%No%") for name in ("a", "b")]
    facts.append(function("c", "activityTrigger"))
    settings = AppSettings({"AzureWebJobs.B.Disabled": "true"}, {})
    host = HostOptions(functions=("B", "C"))
    assert [one.name for one in running_functions(facts, host, settings)] == ["c"]
