"""Settings of an app: where they come from, what they replace, and that nobody sees them."""

import os
from pathlib import Path

import pytest

from tenuto.host.azure import azure_settings
from tenuto.host.settings import load_settings
from tenuto.interop.azure_app.folder.app_folder import AppFolder, read_app_folder
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.settings import AppSettings, LocalHost, MissingSettingError
from tenuto.model.errors import AppLoadError
from tenuto.model.notices import NoticeKind
from tests.interop.azure_app.folders import python_app, read


def test_values_are_texts_and_numbers_and_null_is_nothing(tmp_path: Path) -> None:
    local = """{
        // as the templates write it
        "IsEncrypted": false,
        "Values": {"a": "text", "b": 1, "c": true, "d": null, "e": 0.5, "f": false},
        "ConnectionStrings": {"Sql": "Server=x", "Old": {"ConnectionString": "Server=y"}},
    }"""
    assert read(python_app(tmp_path, local=local)).settings.environment() == {
        "a": "text",
        "b": "1",
        "c": "true",
        "e": "0.5",
        "f": "false",
        "ConnectionStrings:Sql": "Server=x",
        "ConnectionStrings:Old": "Server=y",
    }


def test_the_environment_wins_and_a_note_says_for_which(tmp_path: Path) -> None:
    local = {"Values": {"Greeting": "from the file", "Other": "other"}}
    app = read(python_app(tmp_path, local=local), Greeting="from outside")
    assert app.settings.get("greeting") == "from outside"
    assert app.settings.environment() == {"Greeting": "from outside", "Other": "other"}
    texts = {one.text: one.level for one in app.findings if one.topic == "local.settings.json"}
    assert texts == {
        "Greeting, Other": Level.HONOURED,
        "the environment wins for Greeting": Level.NOTE,
    }


def test_values_are_never_shown(tmp_path: Path) -> None:
    secret = "AccountKey=c2VjcmV0"
    local = {"Values": {"AzureWebJobsStorage": secret, "FUNCTIONS_WORKER_PROCESS_COUNT": "2"}}
    app = read(python_app(tmp_path, local=local), Token=secret)
    assert secret not in repr(app)
    assert repr(AppSettings({}, {})) == "AppSettings(none of its own)"
    names = "AppSettings(AzureWebJobsStorage, FUNCTIONS_WORKER_PROCESS_COUNT)"
    assert repr(app.settings) == names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FUNCTIONS_WORKER_PROCESS_COUNT", "s3cret"),
        ("AzureFunctionsJobHost__functionTimeout", "s3cret"),
        ("AzureFunctionsJobHost__extensions__durableTask__hubName", "s3cret!"),
        ("AzureFunctionsJobHost__version", "s3cret"),
        ("AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions",
         "s3cret"),
        ("AzureFunctionsJobHost__logging__logLevel__default", "s3cret"),
        ("AzureFunctionsJobHost__logging", '{"s3cret'),
        ("AzureFunctionsJobHost__logging", "s3cret"),
    ],
)  # fmt: skip
def test_errors_name_the_setting_and_not_its_value(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(AppLoadError) as refused:
        read_app_folder(python_app(tmp_path), {name: value})
    assert "s3cret" not in str(refused.value)
    assert f"setting {name}" in str(refused.value)


@pytest.mark.parametrize(
    ("local", "message"),
    [
        ({"IsEncrypted": True, "Values": {}}, "is encrypted; run `func settings decrypt`"),
        ({"Values": []}, "local.settings.json: Values must be an object"),
        ({"Values": {"a": {"b": "c"}}}, "Values.a must be a text, not an object; nested"),
        ({"Values": {"a": ["b"]}}, "Values.a must be a text, not a list"),
        ({"Values": {"a=b": "c"}}, "'a=b' cannot be a variable of a process"),
        ({"Values": {"a": "\0"}}, "'a' cannot be a variable of a process"),
        ({"Values": {"": "c"}}, "'' cannot be a variable of a process"),
        ({"ConnectionStrings": {"a": {"ConnectionString": []}}}, "ConnectionStrings.a must be"),
        ({"Host": []}, "local.settings.json: Host must be an object"),
        ({"Host": {"LocalHttpPort": "http"}}, "Host.LocalHttpPort must be a port"),
        ({"Host": {"LocalHttpPort": 70_000}}, "Host.LocalHttpPort must be a port"),
        ({"Host": {"LocalHttpPort": True}}, "Host.LocalHttpPort must be a port"),
        ({"Host": {"CORS": ["*"]}}, "Host.CORS must be a text"),
        ({"Host": {"CORSCredentials": "yes"}}, "Host.CORSCredentials must be true or false"),
        ('{"Values": {"a": "b"}', "local.settings.json:1:22: not valid JSON"),
    ],
)
def test_a_file_of_settings_that_is_wrong_is_refused(
    tmp_path: Path, local: object, message: str
) -> None:
    with pytest.raises(AppLoadError) as refused:
        read(python_app(tmp_path, local=local))
    assert message in str(refused.value)


def test_how_the_server_listens_at_home(tmp_path: Path) -> None:
    assert read(python_app(tmp_path)).local == LocalHost()
    host = {
        "LocalHttpPort": "7075",
        "CORS": "http://a.test, http://b.test/,",
        "CORSCredentials": True,
    }
    assert read(python_app(tmp_path, local={"Host": host})).local == LocalHost(
        port=7075, cors_origins=("http://a.test", "http://b.test"), cors_credentials=True
    )
    (ignored,) = [one for one in read(tmp_path).findings if one.level is Level.IGNORED]
    assert ignored.text == "Host.CORSCredentials"
    host = {"localhttpport": 0, "CORS": "*", "CORSCredentials": "false"}
    assert read(python_app(tmp_path, local={"host": host})).local == LocalHost(
        port=0, cors_origins=("*",)
    )


def test_origins_of_the_file_are_those_of_functions_alone(tmp_path: Path) -> None:
    app = read(python_app(tmp_path, local={"Host": {"CORS": "*"}}))
    (note,) = [one for one in app.findings if one.text.startswith("Host.CORS")]
    assert note.level is Level.NOTE
    assert "every web page" in note.text
    found = azure_settings(app, load_settings(folder=tmp_path, environment={}))
    assert found.values.http.function_origins == ("*",)
    assert found.values.http.cors_origins == ()
    assert found.sources["http.function_origins"] == "local.settings.json"
    for name in ("CORS", "FUNCTION"):
        said = {f"TENUTO_HTTP_{name}_ORIGINS": "https://a.test"}
        found = azure_settings(app, load_settings(folder=tmp_path, environment=said))
        assert "*" not in found.values.http.function_origins
    named = read(python_app(tmp_path / "other", local={"Host": {"CORS": "https://a.test"}}))
    assert not [one for one in named.findings if one.text.startswith("Host.CORS")]


def test_names_between_percent_signs_are_settings_in_any_case() -> None:
    settings = AppSettings({"Hub": "Travel", "Every": "0 */5 * * * *"}, {})
    assert settings.resolve("%hub%Prod") == "TravelProd"
    assert settings.resolve("%Every%") == "0 */5 * * * *"
    assert settings.resolve("100 % of 5 %") == "100 % of 5 %"
    with pytest.raises(MissingSettingError, match=r"^Nothing$"):
        settings.resolve("%Hub%%Nothing%")


def test_an_empty_setting_is_none() -> None:
    settings = AppSettings({"A": "", "B": "b"}, {})
    assert settings.get("A", "B") == "b"
    assert settings.get("A") is None
    with pytest.raises(MissingSettingError):
        settings.resolve("%A%")


@pytest.mark.parametrize(
    ("name", "value", "is_disabled"),
    [
        ("AzureWebJobs.Hello.Disabled", "true", True),
        ("azurewebjobs.hello.disabled", "True", True),
        ("AzureWebJobs_Hello_Disabled", "1", True),
        ("AzureWebJobs__Hello__Disabled", "1", True),
        ("AzureWebJobs.Hello.Disabled", "0", False),
        ("AzureWebJobs.Hello.Disabled", "false", False),
        ("AzureWebJobs.Other.Disabled", "true", False),
    ],
)
def test_a_setting_switches_a_function_off(name: str, value: str, *, is_disabled: bool) -> None:
    assert AppSettings({name: value}, {}).is_disabled("Hello") is is_disabled


def test_what_the_environment_has_for_a_setting_is_a_secret_too(tmp_path: Path) -> None:
    local = {"Values": {"Key": "only-a-placeholder", "Mode": "short"}}
    app = read(python_app(tmp_path, local=local), Key="the-secret-itself", Mode="also-secret")
    assert dict(app.settings.secrets) == {
        "(the value of the setting Key)": "only-a-placeholder",
        "(the value of the setting Key in the environment)": "the-secret-itself",
        "(the value of the setting Mode in the environment)": "also-secret",
    }


GRID = "https://grid.test/api/events"


def told(folder: Path, **grid: object) -> AppFolder:
    """An app that tells Event Grid, and has its key."""
    durable = {"hubName": "Travel", "notifications": {"eventGrid": grid}}
    host = {"version": "2.0", "extensions": {"durableTask": durable}}
    return read(python_app(folder, host=host, local={"Values": {"GridKey": "k-1234567890"}}))


def test_whom_host_json_wants_to_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GridKey", "")  # what is put there goes with the test
    monkeypatch.delenv("GridKey")
    app = told(
        tmp_path,
        topicEndpoint=GRID,
        keySettingName="GridKey",
        publishRetryCount=3,
        publishRetryInterval="00:00:30",
        publishRetryHttpStatus=[503],
        publishEventTypes=["Started", "Failed"],
    )
    found = azure_settings(app, load_settings(folder=tmp_path, environment={}))
    notifications = found.values.notifications
    target = notifications.targets["event-grid"]
    assert (notifications.hub, target.event_grid, target.children) == ("Travel", GRID, True)
    assert target.wanted == {NoticeKind.STARTED, NoticeKind.FAILED}
    assert (target.attempts, target.first_seconds, target.longest_seconds) == (4, 30.0, 30.0)
    assert found.sources["notifications.targets"] == "host.json"
    assert os.environ[target.secret_variable] == "k-1234567890"
    said = {"TENUTO_NOTIFICATIONS_TARGETS": '{"own": {"queue": "all"}}'}
    found = azure_settings(app, load_settings(folder=tmp_path, environment=said))
    assert list(found.values.notifications.targets) == ["own"]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"topicEndpoint": GRID}, "needs extensions.durableTask.notifications.eventGrid.keySett"),
        ({"topicEndpoint": GRID, "keySettingName": "Other"}, "there is no setting 'Other'"),
        ({"topicEndpoint": "grid", "keySettingName": "GridKey"}, "must begin with http"),
        (
            {"topicEndpoint": GRID, "keySettingName": "GridKey", "publishEventTypes": ["Ended"]},
            "publishEventTypes",
        ),
    ],
)
def test_who_cannot_be_told_is_refused_before_the_app_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: dict[str, object], words: str
) -> None:
    monkeypatch.setenv("GridKey", "")  # as above
    monkeypatch.delenv("GridKey")
    with pytest.raises(AppLoadError) as refused:
        azure_settings(told(tmp_path, **grid), load_settings(folder=tmp_path, environment={}))
    assert words in str(refused.value)


def test_without_an_address_nobody_is_told(tmp_path: Path) -> None:
    app = told(tmp_path, keySettingName="GridKey")
    found = azure_settings(app, load_settings(folder=tmp_path, environment={}))
    assert not found.values.notifications.targets
