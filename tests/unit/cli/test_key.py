"""``tenuto key``, and what a server refuses to take for one (S7)."""

import json
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from tenuto import App, Settings, SettingsError
from tenuto.cli.command import run_command_line
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tenuto.http.options import AccessKey, HttpSettings, Role, check_keys


def made(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert run_command_line(["key", *arguments]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_key_is_random_and_can_be_used_as_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = made(capsys, "--name", "it's", "--role", "admin")
    key = out.strip()
    assert len(key) >= 43
    line = next(one for one in err.splitlines() if "export TENUTO_HTTP_KEYS=" in one)
    script = f'{line.strip()}; printf %s "$TENUTO_HTTP_KEYS"'
    value = subprocess.check_output(["sh", "-c", script], text=True)
    settings = load_settings(environment={"TENUTO_HTTP_KEYS": value}).values
    assert settings.http.keys == {"it's": AccessKey(key=key, role=Role.ADMIN)}
    assert f"export TENUTO_HTTP_KEY={key}" in err
    assert made(capsys)[0].strip() != key


def test_a_program_reads_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = made(capsys, "--json")
    document = json.loads(out)
    assert err == ""
    assert (document["name"], document["role"]) == ("operator", "operate")
    keys = msgspec.json.decode(document["TENUTO_HTTP_KEYS"], type=dict[str, AccessKey])
    assert keys["operator"].key == document["key"]
    check_keys(HttpSettings(keys=keys))


@pytest.mark.parametrize(
    "key",
    [
        "at least 16 characters, kept out of version control",
        "0f6b...at-least-16-characters",
        "<what `tenuto key` printed>",
        "<paste-your-key-here>",
        "${TENUTO_ADMIN_KEY}",
        "{{ admin_key_of_prod }}",
        "CHANGE-ME-CHANGE-ME",
        "please-change_me-soon",
        "your-key-goes-here-1",
        "placeholder-for-a-key",
        "this-is-an-example-key",
        "a-long-random-text",
        "long-random-text-1",
        "correct-password-1",
        "my-super-secret-key",
        "aaaaaaaaaaaaaaaaaaaa",
        "1212121212121212",
        "................",
        "sixteen-letters-\u00fc",
        "two-lines-of-it\nand-more",
    ],
)
async def test_a_placeholder_is_no_key_and_the_server_does_not_start(key: str) -> None:
    settings = Settings(
        storage="sqlite://",
        http=HttpSettings(port=0, keys={"boss": AccessKey(key=key, role=Role.ADMIN)}),
    )
    with pytest.raises(SettingsError, match="tenuto key") as caught:
        await Server(App(), settings=settings).start()
    with pytest.raises(SettingsError, match="tenuto key"):
        await App().asgi(settings=settings).start()
    assert "'boss'" in str(caught.value)
    assert key not in str(caught.value)


def test_no_page_and_no_template_shows_a_key_that_would_work() -> None:
    root = Path(__file__).parents[3]
    pages = [*root.glob("docs/**/*.md"), *root.glob("src/tenuto/cli/project/*"), root / "README.md"]
    shown = [
        found
        for page in pages
        for found in re.findall(
            r"""["']?key["']?\s*[=:]\s*["']([^"']{16,})["']""", page.read_text()
        )
    ]
    assert shown
    for key in shown:
        with pytest.raises(SettingsError):
            check_keys(HttpSettings(keys={"x": AccessKey(key=key)}))
