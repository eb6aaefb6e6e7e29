"""Questions to people: asked in history, answered by a page, a link or a program.

A question is a wait like that for an event, but with a form, and with a link that is made beside
it. It belongs to the execution that asks: when that ends or continues as new it is withdrawn, and
whoever opens its link is told so. Keeps ``exactly_once_turns``: the first answer that fits counts.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from tenuto.model.built_in import WEBHOOK_ACTIVITY
from tenuto.model.errors import InputError, PayloadError, SessionDiscarded
from tenuto.model.events import (
    EventTaken,
    QuestionAnswered,
    QuestionAsked,
    QuestionLinked,
    TaskCanceled,
)
from tenuto.model.form import Form
from tenuto.model.interrupts import is_from_keyboard
from tenuto.model.texts import check_unicode, checked_text
from tenuto.model.timing import Microseconds
from tenuto.model.webhook import WebhookSecret
from tenuto.orchestration.tasks import ActivityTask, DurableTask, misfit

if TYPE_CHECKING:
    from tenuto.orchestration.session import Session

T = TypeVar("T")

_LONGEST_TITLE: Final = 200
_LONGEST_TEXT: Final = 16_000

_read: Final = msgspec.json.Decoder(WebhookSecret).decode


class Asked(msgspec.Struct, frozen=True):
    """What a question is made of, checked.

    Attributes:
        title: One line.
        text: What is said besides.
        form: What is to be filled in.
        decode: From the answer as JSON text to the value that the orchestrator gets.
        expires_at: When it is given up; None: never.
    """

    title: str
    text: str
    form: Form
    decode: Callable[[str | None], Any]
    expires_at: Microseconds | None = None


class Question(DurableTask[T]):
    """What ``ctx.ask`` returns: await it for the answer.

    Attributes:
        title: What is asked.
        url: A task with the address of the page on which it is answered: for an e-mail, or a chat.
            Whoever has the address can answer.

    Example:
        ::

            question = ctx.ask("May we ship order 12?", timeout=timedelta(days=3))
            await ctx.call_activity(send_mail, manager, await question.url)
            if await question:
                ...
    """

    __slots__ = ("_asked", "_timer_id", "title", "url")

    def __init__(self, session: "Session", asked: Asked) -> None:
        super().__init__(session)
        self.title: str = asked.title
        self._asked = asked
        self._timer_id: int | None = None
        self._open_id = number = session.next_id()
        session.record(QuestionAsked(number, asked.title, asked.form, asked.text, asked.expires_at))
        session.questions[number] = self
        if asked.expires_at is not None:
            self._timer_id = session.set_timer(asked.expires_at, self._expired, "timeout", number)
        title = session.encode(asked.title, "the title of a question")
        self.url: DurableTask[str] = ActivityTask(
            session, WEBHOOK_ACTIVITY, title, partial(_linked, session, number), None, None
        )

    @property
    def what(self) -> str:
        """Which question."""
        return f"question {self.title!r}"

    def cancel(self, msg: object = None) -> bool:
        """Withdraw the question."""
        if not super().cancel(msg=msg):
            return False
        self.url.cancel()
        return True

    def answered(self, event: QuestionAnswered, which: int) -> None:
        """Take the answer, or turn it away when it is not what was asked for.

        Args:
            event: The answer.
            which: As ``EventRefused`` has it.
        """
        refused = self._scheduler.refused_in_history(which)
        if refused is not None:
            self._scheduler.refuse_event(event, self.title, which, PayloadError(refused, path=""))
            return
        try:
            value = self._asked.decode(event.input)
        except BaseException as error:
            # The caller's own type may refuse the data in any way.
            if isinstance(error, SessionDiscarded) or is_from_keyboard(error):
                raise
            owner = f"the answer to {self.title!r}"
            self._scheduler.refuse_event(event, self.title, which, misfit(error, owner))
            return
        self._over(EventTaken)
        if not self.done():  # user code may set any future
            self.set_result(value)

    def _expired(self) -> None:
        self._timer_id = None
        self._forget()
        if not self.done():
            self.set_exception(TimeoutError(f"nobody has answered {self.title!r} in time"))

    def _give_up(self) -> None:
        self._over(TaskCanceled)

    def _over(self, kind: type[EventTaken] | type[TaskCanceled]) -> None:
        self._scheduler.end_wait(kind(self._forget()), self._timer_id)

    def _forget(self) -> int:
        number, self._open_id = self._open_id, None
        assert number is not None, "it is forgotten once: answered, withdrawn or timed out"
        self._scheduler.questions.pop(number, None)
        return number


def _linked(session: "Session", number: int, text: str | None) -> str:
    """The address is here. Holds no question: in a circle it would stay until the collector of
    garbage comes, and only then would be said that nobody has looked at it.
    """
    secret = _read(text or "")
    if number in session.questions:
        session.record(QuestionLinked(number, secret.digest, secret.url))
    return secret.url


def checked_words(title: object, text: object) -> tuple[str, str]:
    """Title and text of a question.

    Raises:
        InputError: they cannot be shown.
    """
    words = checked_text(title, "the title of a question").strip()
    if not words or len(words) > _LONGEST_TITLE or "\n" in words:
        raise InputError(
            f"ctx.ask: the title is one line of 1 to {_LONGEST_TITLE} characters, got "
            f"{title!r:.80}; longer words go into text="
        )
    if not isinstance(text, str):
        raise InputError(f"ctx.ask: the text must be a str, got {text!r:.80}")
    check_unicode(text, "the text of a question")
    if len(text) > _LONGEST_TEXT:
        raise InputError(f"ctx.ask: the text is longer than {_LONGEST_TEXT:,} characters")
    return words, str.__str__(text)
