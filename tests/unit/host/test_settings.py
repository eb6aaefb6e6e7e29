"""Settings: where they come from, which source wins, and what is refused by name."""

import re
from pathlib import Path
from typing import Any

import pytest

from tenuto.functions.registry import FunctionRegistry
from tenuto.host.host import Host
from tenuto.host.settings import DEFAULT, DEFAULT_STORAGE, LoadedSettings, Settings, load_settings
from tenuto.model.errors import SettingsError
from tenuto.model.limits import Limits, limit_error


def load(folder: Path, environment: dict[str, str] | None = None, **given: Any) -> LoadedSettings:
    return load_settings(folder=folder, environment=environment or {}, **given)


def refusal(folder: Path, environment: dict[str, str] | None = None, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, environment, **given)
    return str(caught.value)


# --- sources -----------------------------------------------------------------------------------


def test_without_any_source_everything_is_default(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.values == Settings()
    assert loaded.values.storage == DEFAULT_STORAGE == "sqlite:///tenuto.db"
    assert set(loaded.sources.values()) == {DEFAULT}
    assert {"storage", "hot_sessions", "limits.payload_bytes"} <= set(loaded.sources)


def test_each_source_wins_over_the_ones_before_and_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text(
        'storage = "sqlite:///file.db"\nhot_sessions = 1\nasync_activities = 1\n'
    )
    loaded = load(
        tmp_path,
        {"TENUTO_STORAGE": "sqlite:///environment.db", "TENUTO_HOT_SESSIONS": "2"},
        storage="sqlite:///given.db",
    )
    assert loaded.values.storage == "sqlite:///given.db"
    assert loaded.values.hot_sessions == 2
    assert loaded.values.async_activities == 1
    assert loaded.sources["storage"] == "argument storage"
    assert loaded.sources["hot_sessions"] == "environment TENUTO_HOT_SESSIONS"
    assert loaded.sources["async_activities"] == "tenuto.toml"
    assert loaded.sources["drain_seconds"] == DEFAULT


def test_limits_come_from_every_source(tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text(
        "[limits]\npayload_bytes = 10\nhistory_events = 10\nnesting_depth = 10\n"
    )
    loaded = load(
        tmp_path,
        {"TENUTO_LIMITS_HISTORY_EVENTS": "20", "TENUTO_LIMITS_NESTING_DEPTH": "20"},
        limits_nesting_depth=30,
    )
    limits = loaded.values.limits
    assert (limits.payload_bytes, limits.history_events, limits.nesting_depth) == (10, 20, 30)
    assert limits.actions_per_turn == Limits().actions_per_turn
    assert loaded.sources["limits.payload_bytes"] == "tenuto.toml"
    assert loaded.sources["limits.history_events"] == "environment TENUTO_LIMITS_HISTORY_EVENTS"
    assert loaded.sources["limits.nesting_depth"] == "argument limits_nesting_depth"


def test_settings_may_stand_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.other]\nkey = 1\n[tool.tenuto]\ndrain_seconds = 3\n'
        "[tool.tenuto.limits]\npayload_bytes = 1000\n"
    )
    loaded = load(tmp_path)
    assert loaded.values.drain_seconds == 3.0
    assert loaded.values.limits.payload_bytes == 1000
    assert loaded.sources["drain_seconds"] == "pyproject.toml [tool.tenuto]"


def test_a_pyproject_without_our_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert load(tmp_path).values == Settings()


def test_the_current_folder_and_the_environment_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tenuto.toml").write_text("hot_sessions = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENUTO_DRAIN_SECONDS", "0.5")
    values = load_settings().values
    assert (values.hot_sessions, values.drain_seconds) == (3, 0.5)


def test_what_is_not_given_and_empty_variables_count_as_not_set(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"TENUTO_STORAGE": "", "OTHER": "x"}, storage=None)
    assert loaded.values == Settings()


def test_the_caller_says_how_its_values_are_called(tmp_path: Path) -> None:
    loaded = load_settings(
        folder=tmp_path, environment={}, given_as="option --{}", storage="sqlite:///x.db"
    )
    assert loaded.sources["storage"] == "option --storage"


def test_values_of_a_section_are_called_as_the_option_that_gives_them(tmp_path: Path) -> None:
    loaded = load_settings(
        folder=tmp_path,
        environment={},
        given_as="option --{option}",
        http_port=1,
        log_level="error",
    )
    assert loaded.sources["http.port"] == "option --port"
    assert loaded.sources["log_level"] == "option --log-level"


def test_a_word_that_is_none_of_a_few_is_refused_with_those(tmp_path: Path) -> None:
    message = "environment TENUTO_LOG_FORMAT.*'xml': expected text or json"
    with pytest.raises(SettingsError, match=message):
        load_settings(folder=tmp_path, environment={"TENUTO_LOG_FORMAT": "xml"})


def test_every_limit_error_names_a_variable_that_is_read(tmp_path: Path) -> None:
    for name in Limits.__struct_fields__:
        variable = re.search(r"TENUTO_\w+", str(limit_error(name, 1, "something")))
        assert variable is not None
        loaded = load(tmp_path, {variable[0]: "123"})
        assert getattr(loaded.values.limits, name) == 123


def test_a_host_takes_its_store_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(storage="nonsense")
    with pytest.raises(SettingsError, match="nonsense"):
        Host(FunctionRegistry(), settings=settings)
    Host(FunctionRegistry(), f"sqlite:///{tmp_path}/given.db", settings=settings)


# --- what is refused ---------------------------------------------------------------------------


def test_bad_input_is_refused_whole_for_an_unknown_key_with_the_nearest_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "tenuto.toml").write_text("hot_sesions = 1\n")
    assert refusal(tmp_path) == (
        "unknown setting hot_sesions (tenuto.toml); did you mean hot_sessions?"
    )
    (tmp_path / "tenuto.toml").write_text("[limits]\npayload_byte = 1\n")
    assert "limits.payload_byte (tenuto.toml); did you mean limits.payload_bytes?" in refusal(
        tmp_path
    )


def test_an_unknown_key_like_none_of_ours_gets_the_list(tmp_path: Path) -> None:
    message = refusal(tmp_path, zzz=1)
    assert message.startswith("unknown setting zzz (argument zzz); there are storage, ")
    assert "limits.payload_bytes" in message


def test_an_unknown_variable_of_ours_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"TENUTO_LIMIT_PAYLOAD_BYTES": "1"}) == (
        "unknown environment variable TENUTO_LIMIT_PAYLOAD_BYTES; "
        "did you mean TENUTO_LIMITS_PAYLOAD_BYTES?"
    )


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("hot_sessions", '"many"', "cannot be 'many': expected a whole number"),
        ("hot_sessions", "0", "cannot be 0: expected a whole number, 1 or more"),
        ("hot_sessions", "true", "cannot be True: expected a whole number"),
        ("hot_sessions", "1.5", "cannot be 1.5: expected a whole number"),
        ("storage", "1", "cannot be 1: expected str"),
        ("storage", '""', "cannot be '': expected str of length >= 1"),
        ("lease_seconds", "0.5", "cannot be 0.5: expected a number, 1 or more"),
        ("drain_seconds", "-1", "cannot be -1: expected a number, 0 or more"),
        ("drain_seconds", "inf", "cannot be inf: expected a finite number"),
        ("activity_threads", "0", "cannot be 0: expected a whole number, 1 or more"),
        ("limits", "1", "unknown setting limits"),
        ("limits.payload_bytes", "0", "cannot be 0: expected a whole number, 1 or more"),
        ("limits.nesting_depth", "-1", "cannot be -1: expected a whole number, 0 or more"),
    ],
)
def test_a_wrong_value_in_a_file_is_refused_naming_source_and_key(
    tmp_path: Path, key: str, text: str, reason: str
) -> None:
    (tmp_path / "tenuto.toml").write_text(f"{key} = {text}\n")
    message = refusal(tmp_path)
    assert reason in message
    assert f"{key} (tenuto.toml)" in message


def test_a_wrong_value_in_a_variable_is_refused_naming_it(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"TENUTO_HOT_SESSIONS": "ten"}) == (
        "setting hot_sessions (environment TENUTO_HOT_SESSIONS) cannot be 'ten': "
        "expected a whole number"
    )


def test_a_wrong_argument_is_refused_naming_it(tmp_path: Path) -> None:
    assert "hot_sessions (argument hot_sessions) cannot be '5'" in refusal(
        tmp_path, hot_sessions="5"
    )


@pytest.mark.parametrize("text", ["key = ", "\x00", "storage = 'a\n"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "tenuto.toml").write_text(text)
    assert "settings cannot be read from tenuto.toml" in refusal(tmp_path)


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"# \xff\n")
    assert "settings cannot be read from pyproject.toml" in refusal(tmp_path)


def test_settings_in_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text("hot_sessions = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.tenuto]\nhot_sessions = 2\n")
    assert "stand both in tenuto.toml and in pyproject.toml" in refusal(tmp_path)


def test_our_table_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\ntenuto = 1\n")
    assert "pyproject.toml [tool.tenuto] must be a table" in refusal(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hot_sessions": 0},
        {"activity_threads": "two"},
        {"limits": Limits(payload_bytes=0)},
        {"limits": {"payload_bytes": 1}},
        {"drain_seconds": float("nan")},
    ],
)
def test_settings_made_in_code_are_checked_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_key_that_is_too_short_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text(
        '[http.keys.fine]\nkey = "q7Hd2mXw9LrTz4Vb8N"\nrole = "read"\n'
        '[http.keys.ops]\nkey = "shortkey"\nrole = "operate"\n'
    )
    with pytest.raises(SettingsError, match=r"for 'ops': .*16; `tenuto key`") as refused:
        load_settings(folder=tmp_path, environment={})
    assert "shortkey" not in str(refused.value)
    (tmp_path / "tenuto.toml").write_text('[http]\nkeys = "shortkey"\n')
    with pytest.raises(SettingsError, match="cannot be what is given: expected object"):
        load_settings(folder=tmp_path, environment={})
