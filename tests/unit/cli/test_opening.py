"""``tenuto start --open``: a browser where there is one, a word where there is none."""

import sys
import webbrowser

import pytest

from tenuto.cli.running import opening
from tenuto.cli.running.opening import open_dashboard

URL = "http://127.0.0.1:7071/"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "open", note)
    return opened


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
def test_it_is_opened_where_there_is_a_screen(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, ":0")
    opening._open(URL)
    assert opened == [URL]


def test_it_is_opened_on_a_desktop(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    opening._open(URL)
    assert opened == [URL]


def test_without_a_screen_no_program_takes_the_terminal(
    opened: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    opening._open(URL)
    assert opened == []
    assert caplog.messages == [f"found no browser to be opened here; open {URL} in one"]


def test_a_browser_that_fails_is_said(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(url: str) -> bool:
        raise webbrowser.Error("no such browser")

    monkeypatch.setenv("BROWSER", "x")
    monkeypatch.setattr(webbrowser, "open", fail)
    opening._open(URL)
    monkeypatch.setattr(webbrowser, "open", lambda _url: False)
    opening._open(URL)
    assert "(no such browser)" in caplog.messages[0]
    assert URL in caplog.messages[1]


def test_a_dashboard_that_is_switched_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    open_dashboard(None)
    assert "http.dashboard is false" in caplog.text
