"""A worker of the protocol without a package: what it does is in the name that it is asked for.

Run as a program, with the number of its descriptor, by ``scripted_launch``. One thread reads and
runs turns in their order; calls have threads of their own.

Orchestrators: ``ok`` ends at once; ``step`` and ``kept`` call the activity ``echo`` first (``kept``
keeps an executor); ``asks`` waits for an event; all others do harm, as their names say.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = struct.Struct(">II")
ORCHESTRATORS = (
    "ok",
    "step",
    "kept",
    "asks",
    "kills",
    "hangs",
    "eats",
    "rubbish",
    "twice",
    "unknown",
    "wrong",
    "malformed",
    "differs",
    "refuses",
    "loses",
    "odd",
    "lingers",
)
ACTIVITIES = (
    "echo",
    "kills_call",
    "hangs_call",
    "blocks",
    "wrong_call",
    "detailed",
    "gate",
    "gorges",
)

Message = dict[str, Any]


class Worker:
    """The worker's side of the pipe."""

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe = pipe
        self.lock = threading.Lock()
        self.executors: dict[int, int] = {}
        self.eaten: list[bytearray] = []
        self.calls: list[threading.Thread] = []

    def say(self, **message: Any) -> None:
        text = json.dumps(message).encode()
        with self.lock:
            self.pipe.sendall(HEAD.pack(len(text), 0) + text)

    def messages(self) -> Iterator[Message]:
        data = b""
        while piece := self.pipe.recv(1 << 18):
            data += piece
            while len(data) >= HEAD.size:
                text, attached = HEAD.unpack_from(data)
                end = HEAD.size + text + attached
                if len(data) < end:
                    break
                yield json.loads(data[HEAD.size : HEAD.size + text])
                data = data[end:]

    def run(self) -> None:
        time.sleep(float(os.environ.get("HELLO_SECONDS", "0")))
        version = int(os.environ.get("PROTOCOL", "1"))
        self.say(type="hello", protocol=version, language="none", runtime="none 1", pid=os.getpid())
        handlers = {
            "load": self.on_load,
            "ping": self.on_ping,
            "forget": self.on_forget,
            "limits": self.on_limits,
            "cancel": self.on_cancel,
            "stop": self.on_stop,
            "call": self.on_call,
            "turn": self.on_turn,
        }
        for message in self.messages():
            handlers[message["type"]](message)
        os._exit(0)

    def on_load(self, message: Message) -> None:
        self.keeps = message.get("keepsExecutors", True)
        starts = Path(message["root"]) / "starts"
        with starts.open("a") as file:
            file.write("x")
        if starts.stat().st_size > int(os.environ.get("DIES_AFTER_STARTS", "1000000")):
            os._exit(7)
        if "EATS_AT_ONCE" in os.environ:
            self.eaten.append(bytearray(b"x" * (150 << 20)))
        functions = [function(name, "orchestrationTrigger") for name in ORCHESTRATORS]
        functions += [function(name, "activityTrigger") for name in ACTIVITIES]
        self.say(type="loaded", functions=functions)
        if "DIES_UNASKED" in os.environ:
            os._exit(8)

    def on_ping(self, message: Message) -> None:
        self.say(type="pong", id=message["id"])

    def on_forget(self, message: Message) -> None:
        self.executors.pop(message["key"], None)

    def on_limits(self, _message: Message) -> None:
        """It says nothing long."""

    def on_cancel(self, message: Message) -> None:
        """Nothing here can be canceled."""

    def on_stop(self, _message: Message) -> None:
        if "IGNORES_STOP" not in os.environ:
            threading.Thread(target=self.end).start()

    def end(self) -> None:
        for one in self.calls:
            one.join()
        os._exit(0)

    # --- calls ------------------------------------------------------------------------------------

    def on_call(self, message: Message) -> None:
        name = message["function"]
        if name == "blocks":
            time.sleep(3600)
        thread = threading.Thread(target=self.call, args=(name, message), daemon=True)
        self.calls.append(thread)
        thread.start()

    def given(self, message: Message) -> Message:
        return next(iter(message.get("inputs", {}).values()), None) or {}

    def call(self, name: str, message: Message) -> None:
        if name == "kills_call":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "leaves":
            child = subprocess.Popen(["/bin/sleep", "300"])
            Path(json.loads(self.given(message)["string"])).write_text(str(child.pid))
            os._exit(3)
        if name == "gorges":
            self.eaten.append(bytearray(b"x" * (250 << 20)))
        if name in {"hangs_call", "gorges"}:
            time.sleep(3600)
        if name == "wrong_call":
            self.say(type="turned", id=message["id"], isDone=True, actions=[])
            return
        if name == "detailed":
            details = '["no object"]'
            self.say(type="failed", id=message["id"], errorType="E", message="m", details=details)
            return
        given = self.given(message)
        if name == "gate":
            while not Path(json.loads(given["string"])).exists():
                time.sleep(0.005)
        self.say(type="result", id=message["id"], value={"json": given.get("string", "null")})

    # --- turns ------------------------------------------------------------------------------------

    def on_turn(self, turn: Message) -> None:
        name = turn["function"]
        harm = {
            "step": self.step,
            "kept": self.step,
            "asks": self.step,
            "kills": self.kills,
            "hangs": self.hangs,
            "eats": self.eats,
            "rubbish": self.rubbish,
            "twice": self.twice,
            "unknown": self.unknown,
            "wrong": self.wrong,
            "odd": self.odd,
            "malformed": self.malformed,
            "differs": self.differs,
            "refuses": self.refuses,
            "loses": self.loses,
            "lingers": self.lingers,
        }
        harm.get(name, self.done)(turn)

    def done(self, turn: Message, **more: Any) -> None:
        members = {"isDone": True, "actions": [], "output": "1", "first": turn.get("known", 0)}
        self.say(type="turned", id=turn["id"], **{**members, **more})

    def step(self, turn: Message) -> None:
        history = turn.get("history")
        if history is None and turn["key"] not in self.executors:
            self.say(type="lost", id=turn["id"])
            return
        answered = any(one["EventType"] in {5, 6, 15} for one in history or turn["events"])
        if answered:
            self.executors.pop(turn["key"], None)
            self.done(turn)
            return
        is_kept = turn["function"] in {"kept", "differs"} and self.keeps
        if is_kept:
            self.executors[turn["key"]] = 1
        action = {"actionType": 0, "functionName": "echo", "input": "1"}
        if turn["function"] == "asks":
            action = {"actionType": 6, "externalEventName": "go"}
        self.done(turn, isDone=False, actions=[action], output=None, isKept=is_kept)

    def kills(self, _turn: Message) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def hangs(self, _turn: Message) -> None:
        time.sleep(3600)

    def eats(self, turn: Message) -> None:
        self.eaten.append(bytearray(b"x" * (150 << 20)))
        self.done(turn)

    def rubbish(self, _turn: Message) -> None:
        self.pipe.sendall(HEAD.pack(9, 0) + b"no object")

    def twice(self, turn: Message) -> None:
        self.done(turn)
        self.done(turn, output="2")

    def unknown(self, turn: Message) -> None:
        self.done({**turn, "id": 1_000_000}, output="2")
        self.done(turn)

    def wrong(self, turn: Message) -> None:
        self.say(type="result", id=turn["id"])

    def odd(self, _turn: Message) -> None:
        self.say(type="refused", message="no more")

    def malformed(self, turn: Message) -> None:
        self.done(turn, isDone=False, actions=[{"actionType": "zero"}])

    def differs(self, turn: Message) -> None:
        if turn.get("isCompared"):
            self.done(turn, difference="all of it")
        else:
            self.step(turn)

    def refuses(self, turn: Message) -> None:
        self.say(type="failed", id=turn["id"], errorType="ValueError", message="no", stack="at x")

    def lingers(self, turn: Message) -> None:
        time.sleep(0.25)
        self.done(turn)

    def loses(self, turn: Message) -> None:
        self.say(type="lost", id=turn["id"])


def function(name: str, kind: str) -> Message:
    return {"name": name, "bindings": [{"name": "given", "type": kind, "direction": "in"}]}


if __name__ == "__main__":
    Worker(socket.socket(fileno=int(sys.argv[-1]))).run()
