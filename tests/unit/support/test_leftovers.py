"""A test that fails always ends what it has started, whatever that is and however it fails."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leftovers import is_running

if sys.platform != "linux":
    pytest.skip("reads /proc", allow_module_level=True)

ROOT = Path(__file__).parents[3]

TESTS = """
import subprocess, sys, time
from pathlib import Path
import pytest

# Ignores what can be ignored, and has a child in a session of its own that survives it.
STUBBORN = '''
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
)
with open("pids", "a") as pids:
    pids.write(f"{os.getpid()} {child.pid}\\\\n")
print("ready", flush=True)
if sys.argv[1:] == ["orphan"]:
    os._exit(0)
time.sleep(600)
'''

def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, *arguments], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"ready\\n"
    return process

@pytest.fixture
def started():
    return start()

def test_that_fails(started):
    assert not "what it expects"

def test_that_fails_after_its_process_has_ended():
    start("orphan").wait()
    assert not "what it expects"

@pytest.mark.timeout(0.5)
def test_that_waits_in_vain(started):
    started.wait()

@pytest.fixture
def broken(started):
    raise LookupError("in a fixture")

def test_whose_fixture_fails(broken):
    pass

async def test_that_is_asynchronous_and_waits_in_vain():
    import asyncio
    async with asyncio.timeout(0.2):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", STUBBORN)
        await process.wait()

def test_that_passes():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_inner.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    return tmp_path


def run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_test_that_fails_has_ended_what_it_started(folder: Path) -> None:
    done = run(folder)
    assert "4 failed, 1 passed, 1 error in " in done.stdout, done.stdout + done.stderr
    assert "processes behind" not in done.stdout, "those that fail do so once"
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) >= 8
    assert not [pid for pid in pids if is_running(pid)]


def test_a_test_that_passes_and_leaves_a_process_fails_for_it(folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "from tests.support import leftovers\n"
        "leftovers._PATIENCE_SECONDS = 0.05\n" + (ROOT / "tests" / "conftest.py").read_text()
    )
    (folder / "test_inner.py").write_text(TESTS + "\ndef test_that_leaves(started):\n    pass\n")
    done = run(folder, "-k", "leaves or passes")
    assert "2 passed, 5 deselected, 1 error in " in done.stdout, done.stdout + done.stderr
    assert "the test has left processes behind:\n" in done.stdout
    assert not [pid for pid in (folder / "pids").read_text().split() if is_running(int(pid))]


def test_what_a_test_starts_can_be_interrupted_though_the_tests_cannot(folder: Path) -> None:
    """As in the background, where a shell has interrupts ignored."""
    (folder / "test_inner.py").write_text(
        "import os, signal, subprocess, sys\n"
        "def test_inherits():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    program = 'import os, signal; os.kill(os.getpid(), signal.SIGINT)'\n"
        "    done = subprocess.run([sys.executable, '-c', program], stderr=subprocess.DEVNULL)\n"
        "    assert done.returncode == -signal.SIGINT\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = run(folder)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "1 passed in " in done.stdout, done.stdout + done.stderr
