"""Links that stand in e-mails, as the store knows them: what a page shows without the instance.

A row for each link, by the digest of its token, written with the turn that opens or closes it. It
says what to show and whether it is worth asking; what counts is decided by the instance's turn.
Pure data.
"""

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from tenuto.model.form import Form
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds


class _Link(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="type"
):
    """Shared form."""


class WebhookLink(_Link, frozen=True, kw_only=True, tag="webhook"):
    """The address of a webhook.

    Attributes:
        name: Of the event that it raises.
        expires_at: The first moment at which it is closed.
        is_open: Whether nobody has used it.
    """

    name: str
    expires_at: Microseconds
    is_open: bool = True


class QuestionLink(_Link, frozen=True, kw_only=True, tag="question"):
    """The address of a question.

    Attributes:
        execution_id: The execution that asks.
        number: The question's number there.
        title: What is asked.
        form: What is to be filled in.
        text: What is said besides.
        expires_at: When it is not asked any more; None: as long as it is not answered.
        is_open: Whether it is asked still, by the time of its row.
        answer: As JSON text; None as long as there is none.
        answered_at: When.
        by: By whom, if somebody said so.
    """

    execution_id: ExecutionId
    number: int
    title: str
    form: Form
    text: str = ""
    expires_at: Microseconds | None = None
    is_open: bool = True
    answer: str | None = None
    answered_at: Microseconds | None = None
    by: str | None = None


Link: TypeAlias = WebhookLink | QuestionLink

decode_link: Final = msgspec.json.Decoder(Link).decode
"""Decode a stored link."""


class FoundLink(Struct, frozen=True):
    """A link, and how its instance stands.

    Attributes:
        instance_id: The instance.
        execution_id: The execution that runs there, or has run last.
        status: How it stands.
        link: The link.
    """

    instance_id: InstanceId
    execution_id: ExecutionId
    status: RuntimeStatus
    link: Link

    def is_open(self, now: Microseconds) -> bool:
        """Whether using it is worth a try."""
        link = self.link
        if isinstance(link, QuestionLink) and link.execution_id != self.execution_id:
            return False
        is_in_time = link.expires_at is None or now < link.expires_at
        return link.is_open and is_in_time and not self.status.is_finished
