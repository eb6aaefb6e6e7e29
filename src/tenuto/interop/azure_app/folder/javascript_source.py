"""The functions that a JavaScript app seems to have: its files are searched, not run.

Calls such as ``app.http('name', ...)`` are told by their form, outside of comments and texts. What
code computes is not seen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.python_source import COMPUTED, HTTP_OUT, RETRIES
from tenuto.interop.workers.protocol import FunctionFacts

_LONG: Final = 1024 * 1024
_TRIGGERS: Final = {
    **dict.fromkeys(("http", "get", "post", "put", "patch", "deleteRequest"), "httpTrigger"),
    "timer": "timerTrigger",
    "storageQueue": "queueTrigger",
    "storageBlob": "blobTrigger",
    "serviceBusQueue": "serviceBusTrigger",
    "serviceBusTopic": "serviceBusTrigger",
    "eventHub": "eventHubTrigger",
    "eventGrid": "eventGridTrigger",
    "cosmosDB": "cosmosDBTrigger",
    "warmup": "warmupTrigger",
    "sql": "sqlTrigger",
    "mySql": "mysqlTrigger",
    "webPubSub": "webPubSubTrigger",
    "mcpTool": "mcpToolTrigger",
    "orchestration": "orchestrationTrigger",
    "activity": "activityTrigger",
    "entity": "entityTrigger",
}
_SERVED: Final = {"http", "durableClient", "generic", "storageQueue", "storageBlob", "table"}
_SCHEDULE: Final = re.compile(r"""\bschedule\s*:\s*(['"`])(?P<text>.*?)\1""")
_RETRY: Final = re.compile(r"\bretry\s*:\s*\{")
_ROUTE: Final = re.compile(r"""\broute\s*:\s*(['"`])(?P<text>[^'"`\n]*)\1""")
_REGISTRATION: Final = re.compile(
    rf"\.\s*(?:{'|'.join(_TRIGGERS)}|generic)\s*(?:\(|\.)|\bapp\s*\[|=\s*app\b"
)
"""What a file may register a function with: a method of its name, or one that is computed."""

_PIECE: Final = re.compile(
    r"""
    //[^\n]* | /\*.*?(?:\*/|\Z)                                      # a comment
    | \bapp\s*\.\s*(?P<client>client\s*\.\s*)?(?P<method>\w+)\s*\(\s*
      (?P<quote>['"`])(?P<name>[^'"`\n]+)(?P=quote)                   # app.http('name'
    | \b(?P<side>input|output)\s*\.\s*(?P<kind>[a-z]\w+)\s*\(            # output.http(
    | '(?:[^'\\\n]|\\.)*' | "(?:[^"\\\n]|\\.)*" | `(?:[^`\\]|\\.)*`   # a text
    """,
    re.VERBOSE | re.DOTALL,
)


def scan_javascript(root: Path, files: Sequence[Path]) -> tuple[list[FunctionFacts], list[Finding]]:
    """The functions in the files of an app, and the bindings in them that are not served."""
    functions: list[FunctionFacts] = []
    findings: list[Finding] = []
    for path in files:
        if path.stat().st_size <= _LONG:
            text = path.read_text(encoding="utf-8", errors="replace")
            shown = path.relative_to(root).as_posix()
            functions += _functions_in(text, shown)
            findings += _bindings_in(text, shown)
    return functions, findings


def registers(text: str) -> bool:
    """Whether anything in a file looks as if it registered a function.

    Example:
        ``registers("app.http(name, options)")``
    """
    return _REGISTRATION.search(text) is not None


def _bindings_in(text: str, file: str) -> Iterator[Finding]:
    """Inputs and outputs beside the trigger; which function has them is not seen."""
    for match in _PIECE.finditer(text):
        is_served = match["kind"] in _SERVED - (
            {"storageQueue"} if match["side"] == "input" else set()
        )
        if match["side"] and not is_served:
            yield Finding(
                level=Level.UNSUPPORTED,
                topic="functions",
                text=f"{match['side']}.{match['kind']}(...) makes a binding that is not served",
                advice="a function that has it is refused",
                file=file,
                line=_line(text, match),
            )


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _functions_in(text: str, file: str) -> Iterator[FunctionFacts]:
    found = [one for one in _PIECE.finditer(text) if one["method"] in _TRIGGERS]
    for match, following in zip_longest(found, found[1:]):
        kind = _TRIGGERS[match["method"]]
        end = len(text) if following is None else following.start()
        binding = {"type": kind}
        route = _ROUTE.search(text, match.end(), end) if kind == "httpTrigger" else None
        if route is not None and "${" not in route["text"]:
            binding["route"] = route["text"]
        if kind == "timerTrigger":
            schedule = _SCHEDULE.search(text, match.end())
            binding["schedule"] = schedule["text"] if schedule else COMPUTED
        bindings: list[Mapping[str, Any]] = [binding]
        if match["client"]:
            bindings.append({"type": "durableClient"})
        if kind == "httpTrigger":
            bindings.append(HTTP_OUT)
        yield FunctionFacts(
            name=match["name"],
            bindings=bindings,
            retry=RETRIES if _RETRY.search(text, match.end(), end) else None,
            file=file,
            line=_line(text, match),
        )
