"""Flows as lines of a tree."""

from tenuto.insight.flow import flow_lines
from tenuto.model.flow import Flow, FlowItem
from tests.support.runs import at

ROOT = FlowItem(ref="event:orders/1", kind="event", name="orders", id="1", at=at(0), key="k")


def flow(*items: FlowItem, asked: str = ROOT.ref) -> Flow:
    return Flow(asked=asked, root=ROOT.ref, items=(ROOT, *items))


def instance(name: str, cause: str, seconds: float, **more: object) -> FlowItem:
    known = {"ended_at": at(seconds + 2), "status": "Completed", **more}
    return FlowItem(
        ref=f"instance:{name}",
        kind="instance",
        name="ship",
        id=name,
        cause=cause,
        at=at(seconds),
        **known,  # type: ignore[arg-type]
    )


def test_what_followed_stands_below_its_cause_in_its_order() -> None:
    lines = flow_lines(
        flow(
            instance("a", ROOT.ref, 1),
            instance("b", "instance:a", 2),
            instance("c", ROOT.ref, 3),
            asked="instance:b",
        )
    )
    assert [(one.item.id, one.lasts) for one in lines] == [
        ("1", ()),
        ("a", (False,)),
        ("b", (False, True)),
        ("c", (True,)),
    ]
    assert [one.item.id for one in lines if one.is_asked] == ["b"]
    assert lines[0].words == "event orders/1 key k"
    assert lines[1].words == "instance a (ship) Completed"
    assert lines[1].time == "+1.0 s, took 2.0 s"


def test_what_failed_and_what_is_gone_say_so_in_words() -> None:
    failed = FlowItem(
        ref="failed:7",
        kind="failed",
        name="orders.bill",
        id="7",
        cause=ROOT.ref,
        at=at(5),
        attempts=1,
        error="ValueError:\nno",
    )
    gone = FlowItem(ref="x", kind="message", name="queue", id="m", cause=ROOT.ref, is_gone=True)
    held = instance(
        "a", ROOT.ref, 1, status="Running", ended_at=None, error="held (guard): it reads"
    )
    lines = {one.item.ref: one for one in flow_lines(flow(failed, gone, held))}
    assert lines["failed:7"].words == (
        "PUT ASIDE by orders.bill after 1 attempt: ValueError: no (number 7)"
    )
    assert lines["failed:7"].item.has_failed
    assert lines["x"].words.startswith("message queue/m (gone: ")
    assert lines["x"].time == ""
    assert lines["instance:a"].words == "instance a (ship) Running: held (guard): it reads"


def test_what_is_on_a_linked_hub_is_not_said_to_be_gone() -> None:
    far = FlowItem(
        ref="linked:box/message:readings/r1",
        kind="message",
        name="readings",
        id="r1",
        cause=ROOT.ref,
        hub="box",
    )
    caller = FlowItem(
        ref="instance:box/m", kind="instance", name="", id="m", cause=ROOT.ref, hub="box"
    )
    lines = {one.item.ref: one.words for one in flow_lines(flow(far, caller))}
    assert lines[far.ref] == "message readings/r1 on the linked hub 'box', which knows more"
    assert lines[caller.ref] == "instance m on the linked hub 'box', which knows more"


def test_a_flow_deeper_than_the_stack_of_python_is_drawn() -> None:
    items, cause = [], ROOT.ref
    for number in range(3_000):
        items.append(instance(str(number), cause, number))
        cause = f"instance:{number}"
    lines = flow_lines(flow(*items))
    assert len(lines) == 3_001
    assert len(lines[-1].lasts) == 3_000


def test_foreign_text_cannot_steer_a_terminal() -> None:
    evil = FlowItem(ref="e", kind="event", name="t", id="\x1b[2J", cause=ROOT.ref, type="a\nb")
    (_, line) = flow_lines(flow(evil))
    assert line.words == "event t/\\x1b[2J a b"
