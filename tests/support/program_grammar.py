"""Random orchestrations as data: what a program can do, and how one is grown.

A program is JSON: nested objects with an ``op`` each. ``program_interpreter`` runs it. Whatever
decides (hypothesis, a seeded generator) does so through ``Choose``, so that programs shrink.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

Node: TypeAlias = dict[str, Any]

Choose: TypeAlias = Callable[[int], int]
"""A number from 0 up to, but not including, the given one. 0 is the simplest choice."""

LEAVES: Final = (
    "activity", "activity", "activity", "sleep", "timer", "event", "child", "yield", "clock",
    "raise", "variable", "status", "start", "send", "nothing",
)  # fmt: skip
DURABLE: Final = ("activity", "timer", "event", "child")
BRANCHES: Final = (
    "sequence", "gather", "group", "timeout", "try", "spawn", "wait", "wait_for", "semaphore",
    "finally", "shield", "first", "every", "later", "lock", "queue", "condition", "gate",
    "barrier", "as_completed", "pages", "nested",
)  # fmt: skip
GENERATOR_BRANCHES: Final = ("sequence", "first", "every", "try", "nested")

_YES_OR_NO: Final = (False, True)
_SECONDS: Final = (1, 2, 3, 0, None)
_OPTIONS: Final[dict[str, tuple[tuple[str, tuple[Any, ...]], ...]]] = {
    # Leaves. An activity that does not fail the whole is the usual case.
    "activity": (("retries", (0, 0, 0, 1, 2)), ("typed", _YES_OR_NO)),
    "sleep": (("seconds", (1, 2, 3, 60)),),
    "timer": (("seconds", (1, 2, 3, 60)),),
    "yield": (("times", (1, 2, 3)),),
    "event": (("name", ("a", "B")), ("seconds", (None, None, 2))),
    "raise": (("error", (0, 1, 2)),),
    "child": (("id", (None, "chosen")),),
    # Branches.
    "gather": (("keep", _YES_OR_NO), ("twice", (False, False, True))),
    "group": (("durable", (False, False, True)),),
    "timeout": (("seconds", _SECONDS),),
    "wait_for": (("seconds", _SECONDS),),
    "shield": (("seconds", (1, 2, 3)), ("keep", _YES_OR_NO)),
    "spawn": (("then", ("await", "cancel", "wait", "leave")),),
    "wait": (("mode", (0, 1, 2)), ("seconds", (None, None, 2)), ("rest", (0, 1, 2))),
    "semaphore": (("value", (1, 2)), ("bounded", _YES_OR_NO)),
    "first": (("cancel", _YES_OR_NO),),
    "queue": (("items", (1, 2, 3, 4)), ("size", (0, 1, 2)), ("consumers", (1, 2))),
    "condition": (("notify", (1, 2, 3)), ("seconds", (None, 1))),
    "as_completed": (("seconds", (None, None, 2)), ("form", (0, 1))),
    "pages": (("take", (1, 2, 3)),),
}
"""What may be chosen for each kind of node; the first value is the simplest."""

_DEEPEST: Final = 4


def grow_program(choose: Choose) -> Node:
    """A whole program: its style and its body."""
    style = ("async", "async", "async", "generator")[choose(4)]
    grower = _Grower(choose, GENERATOR_BRANCHES if style == "generator" else BRANCHES)
    parts = [grower.node(1) for _ in range(1 + choose(5))]
    body = {"op": "sequence", "at": 0, "parts": parts}
    return {"style": style, "body": body, "again": choose(8) == 1, "sort": False}


_ORDERED_OTHERWISE: Final[tuple[tuple[tuple[int, int], dict[str, str]], ...]] = (
    ((3, 12), {"wait_for": "timeout", "every": "later"}),
    ((3, 13), {"group": "gather", "semaphore": "lock", "condition": "gate"}),
)
"""What Pythons before these versions order otherwise than sessions do, and what to test instead."""


def for_stock_loop(program: Node, python: tuple[int, int]) -> Node:
    """The same program without what sessions alone have, or order otherwise than this Python."""
    instead = {"as_completed": "gather"}  # it has no order of its own: it goes by address
    for since, ops in _ORDERED_OTHERWISE:
        if python < since:
            instead |= ops
    return {**program, "style": "async", "body": _for_stock(program["body"], instead), "sort": True}


def _for_stock(node: Node, instead: dict[str, str]) -> Node:
    changed = {**node, "op": instead.get(node["op"], node["op"])}
    # No retries, no tasks of ours in a stock group, no events that expire.
    simpler = {"retries": 0, "durable": False}
    changed |= {key: value for key, value in simpler.items() if key in node}
    if node["op"] == "event":
        changed["seconds"] = None
    if "body" in node:
        changed["body"] = _for_stock(node["body"], instead)
    if "parts" in node:
        changed["parts"] = [_for_stock(part, instead) for part in node["parts"]]
    return changed


class _Grower:
    """Grows nodes; each gets a number, which the trace shows."""

    def __init__(self, choose: Choose, branches: tuple[str, ...]) -> None:
        self.choose = choose
        self.branches = branches
        self.count = 0

    def number(self) -> int:
        self.count += 1
        return self.count

    def node(self, depth: int) -> Node:
        if depth >= _DEEPEST or self.choose(3) == 0:
            return self.leaf(LEAVES)
        op = self.branches[self.choose(len(self.branches))]
        return {"op": op, "at": self.number(), **self.options(op, depth)}

    def leaf(self, ops: tuple[str, ...]) -> Node:
        op = ops[self.choose(len(ops))]
        return {"op": op, "at": self.number(), **self.chosen(op)}

    def chosen(self, op: str) -> Node:
        return {name: values[self.choose(len(values))] for name, values in _OPTIONS.get(op, ())}

    def several(self, depth: int) -> list[Node]:
        return [self.node(depth + 1) for _ in range(1 + self.choose(3))]

    def options(self, op: str, depth: int) -> Node:
        options = self.chosen(op)
        if op == "group":
            options["body"] = self.node(depth + 1)
        return {**options, "parts": self.parts(op, depth)}

    def parts(self, op: str, depth: int) -> list[Node]:
        if op in {"first", "every", "later"}:
            return [self.leaf(DURABLE) for _ in range(1 + self.choose(3))]
        if op in {"timeout", "wait_for", "shield", "nested"}:
            return [self.node(depth + 1)]
        if op in {"try", "finally", "spawn"}:
            return [self.node(depth + 1), self.node(depth + 1)]
        return self.several(depth)
