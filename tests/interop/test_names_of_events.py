"""Names of events: host and workers agree which are one, whatever their Unicode is."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tenuto.interop import azure_functions, node
from tenuto.interop.azure_functions.worker import waits
from tenuto.interop.contract.event_names import event_key
from tests.support.azure_programs import NODE, PYTHON

_NODE = """
const { eventKey } = require(process.argv[1]);
const keys = {};
for (let code = 0; code < 0x110000; code += 1) {
    const character = String.fromCodePoint(code);
    const key = eventKey(character);
    if (key !== character) keys[code] = key;
}
console.log(JSON.stringify(keys));
"""
_PYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
from worker.waits import event_key
print(json.dumps({
    code: event_key(chr(code)) for code in range(0x110000) if event_key(chr(code)) != chr(code)
}))
"""


@cache
def mine() -> dict[str, str]:
    every = map(chr, range(sys.maxunicode + 1))
    return {str(ord(one)): event_key(one) for one in every if event_key(one) != one}


@pytest.mark.parametrize("language", ["javascript", "python"])
def test_a_worker_and_the_host_agree_on_every_character(language: str) -> None:
    if language == "javascript":
        command = [str(NODE), "-e", _NODE, str(Path(node.__file__).with_name("waits.js"))]
    else:
        command = [str(PYTHON), "-c", _PYTHON, str(Path(azure_functions.__file__).parent)]
    # Not measured: it takes a minute to count two million calls.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    said = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment)
    assert json.loads(said.stdout) == mine()
    assert len(mine()) > 600


@pytest.mark.parametrize("key", [event_key, waits.event_key])
@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Approved", "aPPROVED", True),
        ("große", "GROßE", True),
        ("ΟΔΟΣ", "οδος", True),
        ("мир", "МИР", True),
        ("\uff27\uff2f", "\uff47\uff4f", True),
        # As in .NET: no language's own ideas, and one character for one.
        ("onaylandi", "onayland\u0131", False),
        ("ISTANBUL", "İSTANBUL", False),
        ("gosub", "go\u017fub", False),
        ("strasse", "straße", False),
        ("ok", "o\u212a", False),
    ],
)
def test_names_that_are_one(key: object, one: str, other: str, is_same: bool) -> None:
    assert callable(key)
    assert (key(one) == key(other)) is is_same
