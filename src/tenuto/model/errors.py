"""All errors of Tenuto, one tree.

::

    TenutoError                            TN-1000
    ├── InputError (ValueError)            TN-1100  something given is wrong; nothing was done
    │   ├── InvalidInstanceIdError         TN-1101
    │   ├── PayloadError                   TN-1102  a value cannot be stored or rebuilt
    │   ├── UnknownFunctionError           TN-1103
    │   ├── SettingsError                  TN-1104
    │   ├── AppLoadError                   TN-1105
    │   ├── RegistrationError              TN-1106
    │   │   └── SignatureError (TypeError) TN-1107  no stored input can fill its parameters
    │   ├── DeploymentError                TN-1111  a version of an app cannot be taken in
    │   ├── EventNotFoundError             TN-1110  no topic or queue has it
    │   ├── AzurePackagesError             TN-1810  the extra `azure` is not installed
    │   ├── TaskHubError                   TN-1813  no task hub in Azure that can be used for this
    │   └── HttpCallError                  TN-1108  fails the activity behind ctx.call_http
    │       └── OutboundRefusedError       TN-1109  this host calls no such address
    ├── InstanceError                      TN-1200  the instance is not in the right state
    │   ├── InstanceExistsError            TN-1201
    │   ├── InstanceNotFoundError          TN-1202
    │   ├── InstanceFinishedError          TN-1203
    │   ├── InstanceStateError             TN-1204
    │   ├── WebhookClosedError             TN-1205
    │   └── QuestionClosedError            TN-1206  nothing of the kind is asked, now or any more
    ├── OrchestrationFailedError           TN-1300  a waited-for orchestration did not complete
    │   └── OrchestrationTerminatedError   TN-1301
    ├── WorkError                          TN-1400  raised inside orchestrators
    │   ├── ActivityError                  TN-1401
    │   ├── SubOrchestrationError          TN-1402
    │   └── ActivityTimeoutError           TN-1403
    ├── NonDeterminismError                TN-1500
    ├── GuardError                         TN-1501
    ├── LimitError                         TN-1502
    ├── WorkerCrashedError                 TN-1503  the process that ran an activity is gone
    ├── PayloadMisfitError                 TN-1504  what is stored does not fit the code any more
    ├── ScheduleToStartTimeoutError        TN-1505  an activity did not begin in time
    ├── WorkerProtocolError                TN-1506  a worker said what is no message
    ├── StorageError                       TN-1600
    │   ├── StorageUnavailableError        TN-1601  passing: disk full, locked; retried by the host
    │   ├── StorageCorruptError            TN-1602
    │   ├── StorageVersionError            TN-1603
    │   ├── StorageOwnedError              TN-1604  another host owns the store
    │   ├── FencedError                    TN-1605  this host lost its lease
    │   ├── StorageReadOnlyError           TN-1606
    │   ├── StorageLostError               TN-1607  its files were deleted, replaced or cut short
    │   ├── RowsRefusedError               TN-1608  it cannot hold certain rows; the others it can
    │   ├── StorageCopyError               TN-1609  a copy that has not seen its host stop
    │   └── StorageImportedError           TN-1814  made to be looked at: nothing ever runs on it
    ├── HttpError                          TN-1700  a request that a server refuses
    │   ├── UnauthorizedError              TN-1701
    │   ├── ForbiddenError                 TN-1702
    │   ├── RouteNotFoundError             TN-1703
    │   ├── RequestTooLargeError           TN-1704  is a LimitError too
    │   ├── NotImplementedYetError         TN-1705
    │   ├── TooManyWatchersError           TN-1707
    │   ├── MethodNotAllowedError          TN-1708
    │   └── RequestTimeoutError            TN-1709
    ├── ConnectionFailedError              TN-1706
    │   └── UnexpectedAnswerError          TN-1710
    ├── BlockingCallError                  TN-1711
    ├── AzureStorageError                  TN-1812  Azure Storage has refused a request
    │   └── AzureUnavailableError          TN-1811  passing: it cannot be reached, or is too busy
    └── LinkError                          TN-1800  of a link to another hub
        ├── NoSuchLinkError                TN-1801
        ├── LinkFullError                  TN-1802  too much waits for the other hub already
        ├── LinkRefusedError               TN-1803  the other hub refuses a message
        ├── NotOverLinksError              TN-1804  what cannot be asked of another hub
        └── LinkInUseError                 TN-1805  another store has come with the same key
    SessionDiscarded (BaseException)       TN-1900  internal: the session is gone

Each message says what happened, where, and what to do next. A code never changes its meaning.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Self

from tenuto.model.built_in import activity_words
from tenuto.model.cuts import cut

if TYPE_CHECKING:
    from tenuto.model.failure import FailureDetails
    from tenuto.model.ids import MessageId


_SHOWN: Final = 80
"""How much of a refused value a message repeats."""


class TenutoError(Exception):
    """Base of everything that Tenuto raises on purpose. ``code`` is stable and documented.

    Its message is for who runs the host. Who may not know where things are is told ``for_callers``.
    """

    code: ClassVar[str] = "TN-1000"
    _public: str | None = None
    """What is told instead of the message where that may name addresses, paths or users."""

    @property
    def for_callers(self) -> str:
        """What happened, for who may not know where: without addresses, paths and users."""
        return str(self) if self._public is None else self._public

    def told_as(self, public: str) -> Self:
        """The same error, which tells callers this."""
        self._public = public
        return self


class InputError(TenutoError, ValueError):
    """Something handed to Tenuto is wrong. It was refused whole; nothing has been done."""

    code = "TN-1100"


class InvalidInstanceIdError(InputError):
    """An instance id breaks the rules."""

    code = "TN-1101"

    def __init__(self, instance_id: object, reason: str) -> None:
        shown = repr(instance_id)
        if len(shown) > _SHOWN:
            shown = f"{shown[: _SHOWN - 3]}..."
        super().__init__(f"instance id {shown} is not allowed: {reason}")


class PayloadError(InputError):
    """A value cannot be stored as JSON, or stored JSON does not fit the type it is read as.

    Args:
        reason: What is wrong and what to do, to be read after "value at <path>".
        path: The place inside the value; ``$`` is the value itself. Empty when the error is about
            no single place.
        owner: Whose value it is, such as ``argument 'trip' of book_trip``; empty when the caller
            does not know.

    Example:
        >>> print(PayloadError("cannot be stored", path="$.trip.guests[2]"))
        value at $.trip.guests[2] cannot be stored
    """

    code = "TN-1102"

    def __init__(self, reason: str, *, path: str = "$", owner: str = "") -> None:
        self.reason = reason
        self.path = path
        self.owner = owner
        place = f"value at {path} {reason}" if path else reason
        super().__init__(f"{owner}: {place}" if owner else place)

    def __reduce__(self) -> tuple[object, ...]:
        """Copy with all three parts; the default would pass the whole message as the reason."""
        return partial(type(self), self.reason, path=self.path, owner=self.owner), ()

    def below(self, path: str) -> "PayloadError":
        """The same refusal, seen from a value in which this one stands at ``path``."""
        return PayloadError(self.reason, path=path + self.path.removeprefix("$"), owner=self.owner)

    def of(self, owner: str) -> "PayloadError":
        """The same refusal, saying whose value it is."""
        return PayloadError(self.reason, path=self.path, owner=owner)


class UnknownFunctionError(InputError):
    """No function of that name is registered, or none of its workers is there now.

    ``recorded`` and ``produced`` say so as the two sides that do not fit; ``is_known`` whether only
    the worker is missing.
    """

    code = "TN-1103"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        self.name = name
        self.recorded: str = f"{kind} {name!r}"
        self.is_known: bool = name in names
        if self.is_known:
            super().__init__(f"no worker is there now that can run the {kind} {name!r}")
            self.produced: str = "no worker that can run it"
            return
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        listed = ", ".join(names) if names else "none"
        super().__init__(f"no {kind} named {name!r} is registered; {hint}registered: {listed}")
        self.produced = f"no {kind} of that name; registered: {listed}"


class SettingsError(InputError):
    """A setting is unknown or its value is not allowed."""

    code = "TN-1104"
    _public = "a setting of this host is wrong; its log says which"


class AppLoadError(InputError):
    """A target such as ``travel.py:app`` could not be loaded as an app."""

    code = "TN-1105"
    _public = "an app could not be loaded; the host's log says which"


class RegistrationError(InputError):
    """A function cannot be registered as it stands."""

    code = "TN-1106"


class SignatureError(RegistrationError, TypeError):
    """A function has parameters that no stored input can fill."""

    code = "TN-1107"


class AzurePackagesError(InputError):
    """The packages of Azure, which are an extra, are not installed."""

    code = "TN-1810"


class TaskHubError(InputError):
    """A task hub in Azure Storage cannot be used for what was asked: its name, or what it holds."""

    code = "TN-1813"
    _public = "a task hub in Azure Storage cannot be used; the host's log says which"


class EventNotFoundError(InputError):
    """No topic has this event, and no queue this message."""

    code = "TN-1110"


class DeploymentError(InputError):
    """A version of an app cannot be taken in, or cannot run."""

    code = "TN-1111"


class HttpCallError(InputError):
    """A request over HTTP cannot be made, or its answer not be taken; no retry would help."""

    code = "TN-1108"
    _public = (
        "a request over HTTP cannot be made, or its answer not be taken; the host's log says why"
    )
    is_non_retriable: ClassVar[bool] = True


class OutboundRefusedError(HttpCallError):
    """This host does not call such addresses."""

    code = "TN-1109"
    _public = "this host does not call such addresses; its log says which"


class InstanceError(TenutoError):
    """The instance is not in a state that allows the request."""

    code = "TN-1200"

    def __init__(self, instance_id: str, reason: str) -> None:
        super().__init__(f"instance {instance_id!r} {reason}")
        self.instance_id = instance_id


class InstanceExistsError(InstanceError):
    """The instance id is taken."""

    code = "TN-1201"


class InstanceNotFoundError(InstanceError):
    """No instance has this id."""

    code = "TN-1202"

    def __init__(self, instance_id: str, reason: str = "does not exist in this store") -> None:
        super().__init__(instance_id, reason)


class InstanceFinishedError(InstanceError):
    """The instance has already finished."""

    code = "TN-1203"


class InstanceStateError(InstanceError):
    """The request does not fit the instance's current status."""

    code = "TN-1204"


class WebhookClosedError(InstanceError):
    """The webhook was used, has expired, or never existed; which of these is not told."""

    code = "TN-1205"

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            instance_id,
            "has no open webhook at this address: it was used, has expired, or never existed; "
            "ask whoever sent it for a new one",
        )


class QuestionClosedError(InstanceError):
    """The instance does not ask this: not yet, not any more, or never."""

    code = "TN-1206"


class OrchestrationFailedError(TenutoError):
    """A waited-for orchestration failed. ``failure`` holds type, message, traceback and causes."""

    code = "TN-1300"

    def __init__(self, instance_id: str, name: str, failure: "FailureDetails") -> None:
        text = f"orchestration {name!r} (instance {instance_id!r}) failed: {failure.summary}"
        super().__init__(text)
        # Else the traceback that Python prints shows the caller and us, and never the mistake.
        if failure.stack_trace:
            self.add_note(f"raised in the orchestration:\n{failure.stack_trace.rstrip()}")
        root = failure.root_cause
        if root is not failure and root.stack_trace:
            self.add_note(f"the root cause:\n{root.stack_trace.rstrip()}")
        handled = None if failure.handled is None else failure.handled.root_cause
        if handled is not None and handled.stack_trace:
            self.add_note(f"while handling:\n{handled.stack_trace.rstrip()}")
        self.instance_id = instance_id
        self.name = name
        self.failure = failure

    @property
    def cause(self) -> BaseException:
        """What the orchestrator raised, as an exception again, with its fields.

        Its class is the one that was raised if this process has imported it, else its nearest base.
        """
        return self.failure.to_exception()


class OrchestrationTerminatedError(OrchestrationFailedError):
    """A waited-for orchestration was terminated."""

    code = "TN-1301"


class WorkError(TenutoError):
    """Work that an orchestrator waited for has failed.

    ``failure`` holds type, message, traceback and cause chain as they were recorded;
    ``function`` is the name of what was called.
    """

    code = "TN-1400"
    kind: ClassVar[str] = "call of"

    def __init__(self, function: str, failure: "FailureDetails") -> None:
        what = activity_words(function) if self.kind == "activity" else f"{self.kind} {function!r}"
        super().__init__(f"{what} failed: {failure.summary}")
        self.function = function
        self.failure = failure

    @property
    def cause(self) -> BaseException:
        """What was raised there, as an exception again, with its fields.

        Its class is the one that was raised if this process has imported it, else its nearest base.
        An orchestrator that decides by it should name the class: ``failure.find(CardDeclined)``.
        """
        return self.failure.to_exception()


class ActivityError(WorkError):
    """An activity raised, could not be found, or was given an input it cannot take."""

    code = "TN-1401"
    kind = "activity"


class SubOrchestrationError(WorkError):
    """A sub-orchestration failed or was terminated."""

    code = "TN-1402"
    kind = "sub-orchestration"


class ActivityTimeoutError(ActivityError, TimeoutError):
    """An activity attempt ran longer than its timeout, or did not begin in time."""

    code = "TN-1403"


class NonDeterminismError(TenutoError):
    """Replay produced other actions than history recorded.

    ``recorded`` and ``produced`` are the two sides, in words, where there are two.
    """

    code = "TN-1500"

    def __init__(
        self, message: str, recorded: str | None = None, produced: str | None = None
    ) -> None:
        super().__init__(message)
        self.recorded = recorded
        self.produced = produced


class PayloadMisfitError(TenutoError):
    """Stored data do not fit the type that the code asks for now; the instance is held.

    ``recorded`` and ``produced`` are the two sides, in words.

    Args:
        stored: What the data are: ``the result of 'book'``.
        text: The data, as JSON text.
        error: Why they do not fit.
    """

    code = "TN-1504"

    def __init__(self, stored: str, text: str | None, error: PayloadError) -> None:
        super().__init__(f"{stored} does not fit: {error}")
        self.recorded: str = f"{stored}: {cut(text or 'nothing', _SHOWN)}"
        self.produced: str = str(error)


class ScheduleToStartTimeoutError(TenutoError, TimeoutError):
    """An attempt of an activity did not begin within its ``schedule_to_start_timeout``.

    It is not tried again: that would only queue it once more. At the call it is an
    ``ActivityTimeoutError`` with this failure.
    """

    code = "TN-1505"


class GuardError(TenutoError):
    """An orchestrator did something that cannot be replayed.

    Where it did so in replay, ``recorded`` is what history has there and ``produced`` what the code
    does.
    """

    code = "TN-1501"
    recorded: str | None = None
    produced: str | None = None


class LimitError(TenutoError):
    """A limit was crossed. The message names the limit and the setting that raises it."""

    code = "TN-1502"


class WorkerCrashedError(TenutoError):
    """The worker process of an activity with ``cpu_bound=True`` ended before the activity did.

    It is a failed attempt like any other: retry policies try again.

    Args:
        what: The attempt, in words.
        how: How the process ended, in words.
    """

    code = "TN-1503"

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what}: {how}")


class WorkerProtocolError(TenutoError):
    """What a worker sent is no message of the protocol; the worker is ended."""

    code = "TN-1506"


class StorageError(TenutoError):
    """The store refused or failed."""

    code = "TN-1600"
    _public = "the store has refused this, or has failed; the host's log says why"


class StorageUnavailableError(StorageError):
    """The store cannot write now (disk full, locked, gone), or no host answers through it.

    What was asked for stays, or the host retries; nothing is lost.

    Args:
        text: What happened.
        out_of_memory: It is for want of memory.
    """

    code = "TN-1601"
    _public = "the store cannot be used now; ask again later (the host's log says why)"

    def __init__(self, text: str, *, out_of_memory: bool = False) -> None:
        super().__init__(text)
        self.out_of_memory: bool = out_of_memory


class StorageCorruptError(StorageError):
    """The store's file is damaged or not a Tenuto store."""

    code = "TN-1602"
    _public = "what is stored cannot be read; the host's log says why"


class StorageVersionError(StorageError):
    """The store was written by another version of Tenuto."""

    code = "TN-1603"
    _public = "the store was written by another version of Tenuto; the host's log says by which"


class StorageOwnedError(StorageError):
    """Another host owns the store, or the partition of an instance."""

    code = "TN-1604"
    _public = "another host serves this now; ask again"


class FencedError(StorageError):
    """This host is no longer the owner; its commit was refused as a whole.

    Args:
        text: What happened.
        partitions: Those of the commit that do not belong to it any more.
    """

    code = "TN-1605"
    _public = "another host has taken over; ask again"

    def __init__(self, text: str, partitions: Iterable[int] = ()) -> None:
        super().__init__(text)
        self.partitions: frozenset[int] = frozenset(partitions)


class StorageReadOnlyError(StorageUnavailableError):
    """The store's file or folder cannot be written."""

    code = "TN-1606"
    _public = "the store cannot be written now; the host's log says why"


class StorageLostError(StorageError):
    """The store's files were deleted, replaced or cut short while they were in use."""

    code = "TN-1607"
    _public = (
        "the store is lost to this host, which acknowledges nothing any more; its log says why"
    )


class RowsRefusedError(StorageError):
    """A store cannot hold certain rows for what is in them; nothing of the commit was written.

    Without those rows the same commit would be taken.

    Args:
        text: What happened.
        instances: Reason by iid: no row of such an instance may be in the batch.
        messages: Reason by message id, of rows of the inbox, consumed ids and answers.
        letters: Reason by place in the list of dead letters.
        out_of_memory: They are refused for want of memory, not for what is in them.
    """

    code = "TN-1608"
    _public = "the store cannot hold this; nothing was written"

    def __init__(
        self,
        text: str,
        *,
        instances: Mapping[int, str] | None = None,
        messages: Mapping["MessageId", str] | None = None,
        letters: Mapping[int, str] | None = None,
        out_of_memory: bool = False,
    ) -> None:
        super().__init__(text)
        self.out_of_memory: bool = out_of_memory
        self.instances: dict[int, str] = dict(instances or {})
        self.messages: dict[MessageId, str] = dict(messages or {})
        self.letters: dict[int, str] = dict(letters or {})


class StorageCopyError(StorageError):
    """The store is a copy of one whose host went on: a host on it would run steps twice."""

    code = "TN-1609"
    _public = "the store is a copy, on which no host goes on unasked; the host's log says of what"


class StorageImportedError(StorageError):
    """The store was imported to be looked at: no host owns it, and it takes no requests."""

    code = "TN-1814"
    _public = "the store was imported to be looked at; nothing on it can be steered"


class HttpError(TenutoError):
    """A request that cannot be served. ``status`` is that of the answer."""

    code = "TN-1700"
    status: int = 400

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class UnauthorizedError(HttpError):
    """No key, or an unknown one."""

    code = "TN-1701"
    status = 401


class ForbiddenError(HttpError):
    """The key does not allow this."""

    code = "TN-1702"
    status = 403


class RouteNotFoundError(HttpError):
    """There is nothing at this path."""

    code = "TN-1703"
    status = 404


class RequestTooLargeError(HttpError, LimitError):
    """The body is longer than allowed."""

    code = "TN-1704"
    status = 413


class NotImplementedYetError(HttpError):
    """The operation does not exist yet."""

    code = "TN-1705"
    status = 501


class TooManyWatchersError(HttpError):
    """There are as many live streams as allowed."""

    code = "TN-1707"
    status = 503


class MethodNotAllowedError(HttpError):
    """There is something at this path, but it answers other methods."""

    code = "TN-1708"
    status = 405

    def __init__(self, message: str, allowed: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class RequestTimeoutError(HttpError):
    """A request did not arrive in the time allowed."""

    code = "TN-1709"
    status = 408


class ConnectionFailedError(TenutoError):
    """A server could not be reached, or the connection broke before it had answered."""

    code = "TN-1706"
    _public = "another server could not be reached, or has not answered; the host's log says which"


class UnexpectedAnswerError(ConnectionFailedError):
    """What answered is not a Tenuto server, or one that speaks another version's language."""

    code = "TN-1710"


class BlockingCallError(TenutoError):
    """The synchronous client cannot be used here: it would block an event loop, or is gone."""

    code = "TN-1711"


class AzureStorageError(TenutoError):
    """Azure Storage has refused a request. ``status`` is that of its answer, 0 without one."""

    code = "TN-1812"
    _public = "Azure Storage has refused a request; the host's log says which"

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class AzureUnavailableError(AzureStorageError):
    """Azure Storage cannot be reached, or says that it is busy: it may be there again later."""

    code = "TN-1811"
    _public = "Azure Storage cannot be reached now; the host's log says why"


class LinkError(TenutoError):
    """Something is wrong with a link to another hub."""

    code = "TN-1800"


class NoSuchLinkError(LinkError):
    """This hub has no link of that name."""

    code = "TN-1801"
    _public = "there is no such link here; the host's log says which there are"

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        there = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"there is no link {name!r} here (there are: {there}); `tenuto link URL` makes one to "
            "a hub, `tenuto links add NAME` lets one in"
        )


class LinkFullError(LinkError):
    """As much waits for the other hub as may; nothing was taken in. Try again later."""

    code = "TN-1802"


class LinkRefusedError(LinkError):
    """The other hub refuses a message for what it is; sending it again changes nothing."""

    code = "TN-1803"


class NotOverLinksError(LinkError):
    """Instances of another hub can be started and told events. Everything else is asked there."""

    code = "TN-1804"


class LinkInUseError(LinkError):
    """Two stores use one link: each needs a link, and a key, of its own."""

    code = "TN-1805"


class SessionDiscarded(BaseException):
    """The session of this orchestration was discarded; nothing it does can have an effect.

    Derives from BaseException so that ``except Exception`` in user code does not swallow it.
    """

    code: ClassVar[str] = "TN-1900"
