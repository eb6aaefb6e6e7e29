"""ENGINE rule 43, in a fresh interpreter: this one has run sessions."""

import subprocess
import sys

SEEN = """
import asyncio, gc, logging, sys, warnings, time, random, uuid, secrets, os
def seen():
    functions = [asyncio.gather, asyncio.wait, asyncio.wait_for, asyncio.as_completed,
        asyncio.run, asyncio.Semaphore.acquire, asyncio.TaskGroup.create_task,
        asyncio.TaskGroup.__aexit__, asyncio.Timeout.__aexit__, asyncio.Runner.run]
    return ([one.__code__ for one in functions], [one.__kwdefaults__ for one in functions],
        [type(one) for one in (time, random, uuid, secrets, os)], time.time, random.random,
        sys.getswitchinterval(), gc.get_threshold(), gc.isenabled(), gc.get_freeze_count(),
        sys.breakpointhook, sys.excepthook, sys.unraisablehook, logging.root.level,
        list(logging.root.handlers), list(warnings.filters))
added = []
sys.addaudithook(lambda event, args: event == "sys.addaudithook" and added.append(1))
before = seen()
import tenuto, tenuto.client.client, tenuto.client.sync_client, tenuto.cli.steering
tenuto.Client("http://127.0.0.1:1"), tenuto.App
assert seen() == before and not added, "an import"
"""


def test_import_changes_nothing_of_the_process() -> None:
    subprocess.run([sys.executable, "-c", SEEN], check=True, timeout=60)
