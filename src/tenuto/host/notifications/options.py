"""What the one who runs a host decides of notifications: whom to tell, and of what."""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tenuto.model.errors import InputError, SettingsError
from tenuto.model.http_call import http_request
from tenuto.model.notices import NoticeKind, NoticeRules
from tenuto.model.topics import checked_place, checked_topic

TargetKind = Literal["webhook", "event_grid", "topic", "queue"]

_KINDS: Final[tuple[TargetKind, ...]] = ("webhook", "event_grid", "topic", "queue")
_SIGNED: Final = ("webhook", "event_grid")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_OF_EVENT_GRID: Final = frozenset(
    {NoticeKind.STARTED, NoticeKind.COMPLETED, NoticeKind.FAILED, NoticeKind.TERMINATED}
)
_Text = Annotated[str, Meta(max_length=2_000)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class NotificationTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to tell of what. One of the first four says where.

    Attributes:
        webhook: An address that CloudEvents are posted to, signed.
        event_grid: The address of a topic of Azure Event Grid.
        topic: A topic of the hub, or ``hub/topic`` of a linked one.
        queue: A queue of the hub.
        secret_variable: The variable of the environment with the secret: of a webhook
            ``whsec_`` and Base64 of 24 bytes or more (two of them, with a blank between, while one
            replaces the other), of Event Grid its key.
        events: Which kinds; none for all that there are.
        functions: Orchestrators, as patterns such as ``order_*``; none for all.
        tags: Labels that an instance must have been started with.
        children: Whether it is told of sub-orchestrations too.
        attempts: How often a notification is sent before it is put aside.
        first_seconds: The pause before the second attempt; each one doubles it.
        longest_seconds: No pause is longer.
    """

    webhook: _Text = ""
    event_grid: _Text = ""
    topic: _Text = ""
    queue: _Text = ""
    secret_variable: _Text = ""
    events: tuple[NoticeKind, ...] = ()
    functions: tuple[_Text, ...] = ()
    tags: dict[str, str] = {}
    children: bool = False
    attempts: Annotated[int, Meta(ge=1, le=1_000)] = 20
    first_seconds: _Seconds = 1.0
    longest_seconds: _Seconds = 600.0

    @property
    def kind(self) -> TargetKind:
        """Which of the four it is."""
        return next(one for one in _KINDS if getattr(self, one))

    @property
    def place(self) -> str:
        """The address or the name."""
        return str(getattr(self, self.kind))

    @property
    def wanted(self) -> frozenset[NoticeKind]:
        """Of which kinds it is told."""
        return frozenset(self.events) or (_OF_EVENT_GRID if self.event_grid else _ALL)

    def check(self) -> None:
        """See that it can be used.

        Raises:
            InputError: what is wrong with it.
        """
        given = [one for one in _KINDS if getattr(self, one)]
        if len(given) != 1:
            there = f"it has {' and '.join(given)}" if given else "it has none of them"
            raise InputError(f"it takes one of {', '.join(_KINDS)}; {there}")
        kind = self.kind
        if kind in _SIGNED:
            try:
                http_request("POST", self.place, None, None, None)
            except InputError as error:
                raise InputError(f"{kind}: {str(error).removeprefix('call_http: ')}") from None
            if not _VARIABLE.fullmatch(self.secret_variable):
                # It may be the secret itself: the message must not repeat it.
                raise InputError(
                    "secret_variable must name the variable of the environment that holds its "
                    "secret, such as OPS_SECRET"
                )
        elif self.secret_variable:
            raise InputError(f"a {kind} of the hub needs no secret_variable; leave it out")
        elif kind == "topic":
            checked_topic(self.topic)
        else:
            checked_place(self.queue, "a queue")
        if self.event_grid and (others := self.wanted - _OF_EVENT_GRID):
            raise InputError(
                f"Durable Functions tells Event Grid of {', '.join(sorted(_OF_EVENT_GRID))} "
                f"alone, not of {', '.join(sorted(others))}"
            )


_ALL: Final = frozenset(NoticeKind)


class NotificationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to tell what becomes of instances.

    Attributes:
        hub: How this hub is called in what is sent.
        targets: Whom to tell, by names of your choice.

    Raises:
        SettingsError: a target cannot be used; names it.
    """

    hub: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")] = "tenuto"
    targets: dict[str, NotificationTarget] = {}

    def __post_init__(self) -> None:
        for name, target in self.targets.items():
            try:
                _check_name(name)
                target.check()
            except InputError as error:
                raise SettingsError(f"notifications.targets.{name}: {error}") from None

    @property
    def rules(self) -> NoticeRules | None:
        """Of what there must be notices; None where nobody is told."""
        return rules_of(list(self.targets.values()))


def rules_of(targets: list[NotificationTarget]) -> NoticeRules | None:
    """Of what there must be notices for these targets; None for none."""
    if not targets:
        return None
    kinds = frozenset[NoticeKind]().union(*(one.wanted for one in targets))
    return NoticeRules(kinds=kinds, children=any(one.children for one in targets))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError("the name of a target has letters, digits, - and _ only")
