"""``host.json``: what is in force, what became of each key, and where it is wrong."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.host_json import DurableOptions, HostOptions, HttpOptions
from tenuto.interop.azure_app.folder.host_keys import HOST_KEYS
from tenuto.interop.azure_app.folder.json_text import key_lines, parse_json_object
from tenuto.interop.azure_app.folder.time_spans import time_span
from tenuto.model.errors import AppLoadError
from tests.interop.azure_app.folders import python_app, read


def host(folder: Path, content: object, **environment: str) -> HostOptions:
    return read(python_app(folder, host=content), **environment).host


def durable(**options: object) -> dict[str, object]:
    return {"version": "2.0", "extensions": {"durableTask": options}}


def test_what_is_honoured_is_in_force(tmp_path: Path) -> None:
    content = {
        "version": "2.0",
        "functions": ["Hello"],
        "functionTimeout": "00:05:00",
        "logging": {"logLevel": {"default": "Warning", "Function": "Error"}},
        "extensions": {
            "http": {
                "routePrefix": "/v1/",
                "maxConcurrentRequests": 7,
                "maxOutstandingRequests": "-1",
            },
            "durableTask": {
                "hubName": "Travel",
                "maxConcurrentActivityFunctions": "4",
                "httpSettings": {"defaultAsyncRequestSleepTimeMilliseconds": 250},
            },
        },
    }
    found = host(tmp_path, content)
    assert found.http == HttpOptions(route_prefix="v1", max_running=7, max_outstanding=None)
    assert found.durable == DurableOptions(
        hub_name="Travel",
        max_activities=4,
        http_poll_interval=timedelta(milliseconds=250),
    )
    assert found.function_timeout == timedelta(minutes=5)
    assert found.functions == ("Hello",)
    assert found.runs("HELLO")
    assert not found.runs("Other")


def test_the_defaults_are_those_of_the_original(tmp_path: Path) -> None:
    found = host(tmp_path, {"version": "2.0"})
    assert found == HostOptions()
    assert found.function_timeout == timedelta(minutes=30)
    assert found.durable.hub_name == "TestHubName"
    assert found.durable.http_poll_interval == timedelta(seconds=30)
    assert found.http == HttpOptions(route_prefix="api", max_running=100, max_outstanding=200)
    assert found.runs("Anything")


def test_names_of_keys_have_no_case(tmp_path: Path) -> None:
    content = {"Version": "2.0", "extensions": {"DURABLETASK": {"HubName": "Travel"}}}
    assert host(tmp_path, content).durable.hub_name == "Travel"


def test_no_prefix_and_no_timeout_can_be_said(tmp_path: Path) -> None:
    content = {
        "version": "2.0",
        "functionTimeout": "-1",
        "extensions": {"http": {"routePrefix": ""}},
    }
    found = host(tmp_path, content)
    assert found.http.route_prefix == ""
    assert found.function_timeout is None


def test_log_levels_are_found_by_the_longest_name_that_fits(tmp_path: Path) -> None:
    levels = {"default": "Warning", "Function": "Debug", "function.hello.user": "None"}
    found = host(tmp_path, {"version": "2.0", "logging": {"logLevel": levels}})
    assert found.log_level_for("Host.Results") == "warning"
    assert found.log_level_for("Function.Hello") == "debug"
    assert found.log_level_for("Function.Hello.User") == "none"
    assert found.log_level_for("Functional") == "warning"
    assert HostOptions().log_level_for("Function") == "information"
    short = host(tmp_path, {"version": "2.0", "logging": {"logLevel": "Error"}})
    assert short.log_level_for("Function") == "error"


def test_a_hub_may_be_named_by_a_setting(tmp_path: Path) -> None:
    content = durable(hubName="%Hub%")
    assert host(tmp_path, content, HUB="Travel").durable.hub_name == "Travel"
    with pytest.raises(AppLoadError) as refused:
        host(tmp_path, content)
    assert str(refused.value) == (
        "host.json:1: extensions.durableTask.hubName: there is no setting 'Hub'; put it into "
        "local.settings.json, or into the environment"
    )


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    content = {**durable(hubName="Travel"), "functions": ["a", "b"]}
    found = host(
        tmp_path,
        content,
        AzureFunctionsJobHost__extensions__durableTask__hubName="Other",
        azurefunctionsjobhost__extensions__HTTP__routePrefix="v2",
        AzureFunctionsJobHost__functions__1="c",
        AzureFunctionsJobHost__functions__2="d",
        AzureFunctionsJobHost__logging='{"logLevel": {"default": "Debug"}}',
        AzureFunctionsJobHost="nothing",
        AzureFunctionsJobHostage__functionTimeout="nothing",
    )
    assert found.durable.hub_name == "Other"
    assert found.http.route_prefix == "v2"
    assert found.functions == ("a", "c", "d")
    assert found.log_level_for("Function") == "debug"


def test_settings_stand_in_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("")
    name = "AzureFunctionsJobHost__extensions__http__routePrefix"
    found = read(tmp_path, **{name: "v2"})
    assert found.host.http.route_prefix == "v2"
    said = [one for one in found.findings if one.topic == "host.json"]
    assert [(one.text, one.place) for one in said] == [
        (f"extensions.http.routePrefix (setting {name})", "")
    ]


def test_a_section_that_a_setting_needs_takes_the_place_of_what_is_no_section(
    tmp_path: Path,
) -> None:
    content = {"version": "2.0", "logging": {"logLevel": "Error"}}
    found = host(tmp_path, content, AzureFunctionsJobHost__logging__logLevel__Function="Debug")
    assert found.log_level_for("Function.Hello") == "debug"


def test_each_key_is_honoured_ignored_with_a_reason_or_refused(tmp_path: Path) -> None:
    text = """{
  "version": "2.0",
  "extensionBundle": {
    "id": "Microsoft.Azure.Functions.ExtensionBundle",
    "version": "[4.*, 5.0.0)"
  },
  "extensions": {
    "durableTask": {
      "hubName": "Travel",
      "storageProvider": {"type": "mssql"}
    },
    "queues": {"batchSize": 1}
  },
  "functionTimeOuts": "00:05:00"
}"""
    found = read(python_app(tmp_path, host=text)).findings
    said = {one.text: (one.level, one.line) for one in found if one.topic == "host.json"}
    assert said == {
        "version": (Level.HONOURED, 2),
        "extensionBundle": (Level.IGNORED, 3),
        "extensions.durableTask.hubName": (Level.HONOURED, 9),
        "extensions.durableTask.storageProvider": (Level.IGNORED, 10),
        "extensions.queues.batchSize": (Level.HONOURED, 12),
        "functionTimeOuts": (Level.IGNORED, 14),
    }
    unknown = next(one for one in found if one.text == "functionTimeOuts")
    assert unknown.advice == "nothing reads this key; did you mean functionTimeout?"
    assert unknown.place == "host.json:14"
    assert all(one.advice for one in found if one.topic == "host.json")


def test_a_custom_handler_is_refused(tmp_path: Path) -> None:
    content = {"version": "2.0", "customHandler": {"description": {}}}
    with pytest.raises(AppLoadError, match=r"^host.json:1: customHandler is not supported: "):
        host(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, 'host.json: version is missing; it must be "2.0"'),
        ({"version": "1.0"}, "host.json:1: version is '1.0'; it must be \"2.0\""),
        ('{"version": "2.0",\n "x": }', "host.json:2:7: not valid JSON"),
        ("[]", "host.json: it must hold a JSON object"),
        ("[" * 100_000, "host.json: it is nested too deeply"),
        ({"version": "2.0", "extensions": []}, "host.json: extensions must be an object"),
        ({"version": "2.0", "functionTimeout": "5"}, "functionTimeout: expected a length of time"),
        ({"version": "2.0", "functions": "a"}, "functions: expected array"),
        ({"version": "2.0", "logging": {"logLevel": {"a": "Loud"}}}, "for 'a' expected Trace"),
        ({"version": "2.0", "logging": {"logLevel": 1}}, "expected an object: category to level"),
        (durable(hubName="1st"), "hubName: expected the name of a task hub"),
        (durable(hubName=1), "hubName: expected str"),
        (durable(maxConcurrentActivityFunctions=0), "maxConcurrentActivityFunctions: expected int"),
        (
            {"version": "2.0", "extensions": {"http": {"maxConcurrentRequests": "some"}}},
            "maxConcurrentRequests: expected int",
        ),
        (durable(httpSettings="fast"), "extensions.durableTask.httpSettings must be an object"),
    ],
)
def test_a_host_file_that_is_wrong_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(AppLoadError) as refused:
        host(tmp_path, content)
    assert message in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = python_app(tmp_path) / "host.json"
    path.write_bytes(b'{"version": "\xff"}')
    with pytest.raises(AppLoadError, match=r"host\.json: it is not UTF-8"):
        read(tmp_path)
    path.unlink()
    path.symlink_to(path)
    assert read(tmp_path).host == HostOptions(), "as if it were not there"


def test_a_section_may_be_null(tmp_path: Path) -> None:
    assert host(tmp_path, {"version": "2.0", "extensions": None}) == HostOptions()


def test_each_row_of_the_table_stands_once_and_says_why() -> None:
    paths = [one.path.lower() for one in HOST_KEYS]
    assert len(paths) == len(set(paths))
    assert all(one.text for one in HOST_KEYS)


# --- JSON as people write it --------------------------------------------------------------------


def test_comments_commas_at_the_end_and_a_mark_are_no_errors(tmp_path: Path) -> None:
    text = """\ufeff{
  // a comment, with "quotes" and {brackets
  "version": "2.0", /* another
     one */
  "functions": ["a", "b // no comment", ], // the last
  "extensions": {"http": {"routePrefix": "a\\"/*b*/c",},},
}
// the end"""
    found = host(tmp_path, text)
    assert found.functions == ("a", "b // no comment")
    assert found.http.route_prefix == 'a"/*b*/c'


@pytest.mark.parametrize("text", ['{"a": 1,,}', "{,}", '{"a" 1}', '{"a": "b', "{} /", "", ","])
def test_what_is_no_json_stays_none(text: str) -> None:
    with pytest.raises(AppLoadError, match="a file:1:"):
        parse_json_object(text, "a file")


TEXT = st.text(st.sampled_from('ab,:{}[]"\\/* \n\u20ac'), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(TEXT, JSON, max_size=3), st.sampled_from([None, 2]))
def test_json_stays_what_it_is(value: dict[str, object], indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    assert parse_json_object(text, "a file") == value
    lines = key_lines(text)
    assert {path[0] for path in lines if len(path) == 1} == set(value)


def test_lines_of_keys_are_those_of_their_own_place() -> None:
    text = '{"b": {"version": 1,\n"c": [1, {"version": 2}]},\n\n"version": [{}, {"d": 3}]}'
    lines = key_lines(text)
    assert lines[("version",)] == 4
    assert lines[("b", "version")] == 1
    assert lines[("b", "c")] == 2


# --- lengths of time ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:05:00", timedelta(minutes=5)),
        ("1.12:00:00", timedelta(days=1, hours=12)),
        ("00:00:00.5", timedelta(milliseconds=500)),
        ("02:30", timedelta(hours=2, minutes=30)),
        ("00:00:01.1234567", timedelta(seconds=1, microseconds=123_456)),
        ("-1", None),
        (-1, None),
    ],
)
def test_lengths_of_time_are_read_as_dotnet_writes_them(
    text: object, span: timedelta | None
) -> None:
    assert time_span(text) == span


@pytest.mark.parametrize("text", ["", "5", "25:00:00", "00:60:00", "00:00:60", "00:00:00", 5, None])
def test_what_is_no_length_of_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        time_span(text)
