"""A pool that lost attempts use up is told from outside, with what hangs and where."""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.terminal import Command, tenuto

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

APP = """
import time
from datetime import timedelta
from tenuto import App, Context

app = App()


@app.activity(timeout=timedelta(seconds=0.05))
def legacy() -> None:
    time.sleep(3600)


@app.activity
def hello() -> str:
    return "hello"


@app.orchestrator
async def give_up(ctx: Context) -> int:
    for lost in range(5):
        try:
            await ctx.call_activity(legacy)
        except TimeoutError:
            pass
    return lost


@app.orchestrator
async def greet(ctx: Context) -> str:
    return await ctx.call_activity(hello)
"""


def healthy(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_doctor_health_metrics_log_and_explanations_say_what_hangs_and_where(
    tmp_path: Path,
) -> None:
    (tmp_path / "travel.py").write_text(APP)
    (tmp_path / "tenuto.toml").write_text(
        'storage = "sqlite:///s.db"\ndrain_seconds = 0\nactivity_threads = 1\n'
    )
    with Command(tmp_path, "start", "travel.py", "--port", "0") as command:
        command.until("listening ")
        found = re.search(r"listening +(http://\S+)", command.out)
        assert found is not None
        url = found[1]
        tenuto(tmp_path, "instances", "start", "give_up", "--id", "lost", "--wait")
        tenuto(tmp_path, "instances", "start", "greet", "--id", "greet")
        deadline = time.monotonic() + 30
        while (answer := healthy(url))[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        place = r"activity 'legacy' of instance 'lost', task \d+, attempt 1 at .*travel\.py:11 in"
        assert answer[0] == 503
        assert re.search(place, json.loads(answer[1])["reasons"][0])

        doctor = tenuto(tmp_path, "doctor", "--url", url)
        assert doctor.returncode == 1
        assert "no sync activity runs: 5 attempts that were given up hold all threads" in (
            doctor.stdout
        )
        (told,) = re.findall(place, doctor.stdout)
        assert f"{told} legacy and 4 more there" in doctor.stdout, "each place once, with a count"
        in_the_folder = tenuto(tmp_path, "doctor")
        assert in_the_folder.returncode == 1
        assert f"{url} is not well: no sync activity runs" in in_the_folder.stdout
        assert re.search(r"greet \(greet\).*queued at place 1 behind what runs", doctor.stdout)
        shown = tenuto(tmp_path, "instances", "show", "greet", "--url", url)
        assert "queued at place 1" in shown.stdout
        assert re.search(place, shown.stdout), "who asks for one alone is told where it hangs"

        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as metrics:
            text = metrics.read().decode()
        assert "tenuto_activities_hung 5.0" in text
        assert "tenuto_shortages 1.0" in text
        assert "no more are replaced" in command.err
        assert re.search(r"hangs at .*travel\.py:11 in legacy", command.err)
