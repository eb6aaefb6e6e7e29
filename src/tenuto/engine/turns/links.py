"""Links: what a turn means for the addresses that people have got. Pure.

Their rows are written with the turn, so that a page never shows what has not happened
(``durable_before_visible``).
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, structs

from tenuto.engine.rows import LinkRow
from tenuto.engine.state import InstanceState, OpenWait
from tenuto.model.events import Incoming, QuestionAnswered
from tenuto.model.links import Link, QuestionLink, WebhookLink
from tenuto.model.messages import AnswerQuestion
from tenuto.model.webhook import OpenWebhook


def link_rows(state: InstanceState, incoming: Iterable[Incoming]) -> Sequence[LinkRow]:
    """The rows of the links that a turn has opened or closed; they are news no more then.

    Args:
        state: The instance; it has followed the turn.
        incoming: What the turn took in.
    """
    work = state.work
    changed, work.links = work.links, []
    for event in incoming:
        # An answer that was kept, and that its type refuses now: the link may say that it counts.
        if type(event) is QuestionAnswered:
            wait = work.awaits.get(event.task_id)
            if wait is not None and wait.link is not None:
                changed.append(wait)
    rows = {row.digest: row for row in (_row(state, one, incoming) for one in changed)}
    return list(rows.values())


def answered_row(state: InstanceState, message: AnswerQuestion) -> LinkRow | None:
    """The row of a link whose question has its answer, which waits until the instance goes on.

    None when the question has no link.

    Args:
        state: The instance.
        message: The answer that is kept.
    """
    wait = state.work.awaits.get(message.question) if type(message.question) is int else None
    if wait is None or wait.link is None:
        return None
    event = QuestionAnswered(
        wait.link.task_id, message.requested_at, message.input or "null", message.by
    )
    link = _with_answer(_question(state, wait, ()), event)
    return LinkRow(state.iid, wait.link.digest, link.is_open, Raw(msgspec.json.encode(link)))


def _row(
    state: InstanceState, changed: OpenWait | OpenWebhook, incoming: Iterable[Incoming]
) -> LinkRow:
    link: Link
    if isinstance(changed, OpenWebhook):
        digest = changed.digest
        is_open = digest in state.work.webhooks
        link = WebhookLink(name=changed.name, expires_at=changed.expires_at, is_open=is_open)
    else:
        assert changed.link is not None, "only then is it among the changed ones"
        digest = changed.link.digest
        link = _question(state, changed, incoming)
    return LinkRow(state.iid, digest, link.is_open, Raw(msgspec.json.encode(link)))


def _question(
    state: InstanceState, changed: OpenWait, incoming: Iterable[Incoming]
) -> QuestionLink:
    asked = changed.question
    assert asked is not None, "only questions have links"
    number = asked.event_id
    link = QuestionLink(
        execution_id=state.facts.execution_id,
        number=number,
        title=asked.title,
        form=asked.form,
        text=asked.text,
        expires_at=asked.expires_at,
        is_open=number in state.work.awaits,
    )
    if link.is_open:
        return link
    for event in incoming:
        if type(event) is QuestionAnswered and event.task_id == number:
            return _with_answer(link, event)
    return link


def _with_answer(link: QuestionLink, event: QuestionAnswered) -> QuestionLink:
    return structs.replace(
        link,
        is_open=False,
        answer=event.input or "null",
        answered_at=event.answered_at,
        by=event.by,
    )
