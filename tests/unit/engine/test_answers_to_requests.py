"""Who gets an answer: senders that wait for one, every client of what has ended; nobody else."""

import pytest

from tenuto.engine.batch import Batch
from tenuto.engine.rows import Answer
from tenuto.engine.turns.sorting import SortedInbox, ends_or_holds, refuse_finished, sort_inbox
from tenuto.model.control import CONTROLS, ENDING, PAUSING
from tenuto.model.errors import InputError, InstanceFinishedError, WebhookClosedError
from tenuto.model.events import EventRaised
from tenuto.model.ids import MessageId
from tenuto.model.messages import (
    CLIENT_MESSAGES,
    AnswerQuestion,
    Message,
    Purge,
    RaiseEvent,
    RedeemWebhook,
    Suspend,
    Terminate,
)
from tenuto.model.status import RuntimeStatus
from tenuto.model.webhook import OpenWebhook
from tests.unit.engine.test_take_turn import NOW, waiting

KEY = MessageId("client-1")
WRONG = InputError("it is wrong")


def message_of(kind: type) -> Message:
    """A message of a client."""
    if kind is RaiseEvent:
        return RaiseEvent(message_id=KEY, event=EventRaised("go"))
    if kind is RedeemWebhook:
        return RedeemWebhook(message_id=KEY, digest="d", requested_at=NOW)
    if kind is AnswerQuestion:
        return AnswerQuestion(message_id=KEY, requested_at=NOW)
    made: Message = kind(message_id=KEY)
    return made


@pytest.mark.parametrize("awaits", [True, False])
def test_only_who_waits_for_an_answer_gets_one(*, awaits: bool) -> None:
    batch = Batch()
    batch.consume(Suspend(message_id=KEY, awaits_answer=awaits), 0)
    assert batch.answers == ({KEY: Answer(KEY)} if awaits else {})
    batch.refuse(Suspend(message_id=KEY, awaits_answer=awaits), WRONG)
    assert batch.answers == ({KEY: Answer(KEY, "TN-1100", "it is wrong")} if awaits else {})


@pytest.mark.parametrize("awaits", [True, False])
@pytest.mark.parametrize("status", [RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED])
def test_the_event_that_a_webhook_raises_is_answered_as_its_request(
    status: RuntimeStatus, *, awaits: bool
) -> None:
    state = waiting()
    state.status = status
    state.work.webhooks["d"] = OpenWebhook("paid", "d", NOW + 10)
    request = RedeemWebhook(message_id=KEY, digest="d", requested_at=NOW, awaits_answer=awaits)
    result = sort_inbox(state, [request])
    (event,) = [*result.taken, *result.held]
    assert isinstance(event, RaiseEvent)
    assert (event.message_id, event.awaits_answer) == (KEY, awaits)


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_what_has_ended_refuses_whatever_a_client_asks_but_to_go(kind: type) -> None:
    result = SortedInbox()
    refuse_finished(waiting(), message_of(kind), RuntimeStatus.COMPLETED, result)
    assert result.purge is (kind is Purge)
    by_kind: dict[type, list[type]] = {Purge: [], RedeemWebhook: [WebhookClosedError]}
    wanted = by_kind.get(kind, [InstanceFinishedError])
    assert [type(one.error) for one in result.refused] == wanted


def test_every_word_of_control_is_a_request_of_clients_that_ends_or_steers() -> None:
    words = {one.message for one in CONTROLS}
    assert words <= set(CLIENT_MESSAGES)
    assert set(ENDING) & set(PAUSING) == set()
    assert set(ENDING) | set(PAUSING) == {*words, Terminate}
    for kind in (*ENDING, *PAUSING):
        assert ends_or_holds(message_of(kind)) is (kind in ENDING)
