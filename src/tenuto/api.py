"""Everything that programs use of Tenuto, under the names that ``tenuto`` shows them by."""

from tenuto import schedule
from tenuto.client.client import Client, InstanceFilter, OrchestrationHandle
from tenuto.client.connection import ConnectionOptions
from tenuto.client.handed_start import HandedStart
from tenuto.client.outbox import Outbox, SyncOutbox
from tenuto.client.status import DeadLetterStatus, HoldStatus, InstanceStatus
from tenuto.client.sync_client import SyncClient, SyncOrchestrationHandle
from tenuto.functions.activity_context import ActivityContext, current_activity
from tenuto.functions.arrived_file import ArrivedFile
from tenuto.functions.blob import Blob
from tenuto.functions.outbound import OutboundSettings
from tenuto.functions.queue_message import QueueMessage
from tenuto.functions.timer_info import TimerInfo
from tenuto.host.app import App
from tenuto.host.host import Host
from tenuto.host.settings import Settings
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.link.options import LinkSettings
from tenuto.model.errors import (
    ActivityError,
    ActivityTimeoutError,
    AppLoadError,
    BlockingCallError,
    ConnectionFailedError,
    EventNotFoundError,
    FencedError,
    ForbiddenError,
    GuardError,
    HttpCallError,
    HttpError,
    InputError,
    InstanceError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    InvalidInstanceIdError,
    LimitError,
    LinkError,
    LinkFullError,
    NonDeterminismError,
    NoSuchLinkError,
    NotOverLinksError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
    OutboundRefusedError,
    PayloadError,
    PayloadMisfitError,
    QuestionClosedError,
    RegistrationError,
    RowsRefusedError,
    SettingsError,
    StorageCopyError,
    StorageCorruptError,
    StorageError,
    StorageImportedError,
    StorageLostError,
    StorageOwnedError,
    StorageReadOnlyError,
    StorageUnavailableError,
    StorageVersionError,
    SubOrchestrationError,
    TenutoError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnknownFunctionError,
    WebhookClosedError,
    WorkerCrashedError,
    WorkError,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import HoldReason
from tenuto.model.http_call import (
    HttpCallOptions,
    HttpResponse,
    HttpRetry,
    ManagedIdentityTokenSource,
)
from tenuto.model.limits import Limits
from tenuto.model.requests import IdReuse
from tenuto.model.retry import RetryPolicy
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import Event, EventDetails
from tenuto.orchestration.context import Context
from tenuto.orchestration.questions import Question
from tenuto.orchestration.references import ActivityFunction, OrchestratorFunction
from tenuto.orchestration.tasks import DurableTask

__all__ = [
    "AccessKey",
    "ActivityContext",
    "ActivityError",
    "ActivityFunction",
    "ActivityTimeoutError",
    "App",
    "AppLoadError",
    "ArrivedFile",
    "Blob",
    "BlockingCallError",
    "Client",
    "ConnectionFailedError",
    "ConnectionOptions",
    "Context",
    "DeadLetterStatus",
    "DurableTask",
    "Event",
    "EventDetails",
    "EventNotFoundError",
    "FailureDetails",
    "FencedError",
    "ForbiddenError",
    "GuardError",
    "HandedStart",
    "HoldReason",
    "HoldStatus",
    "Host",
    "HttpCallError",
    "HttpCallOptions",
    "HttpError",
    "HttpResponse",
    "HttpRetry",
    "HttpSettings",
    "IdReuse",
    "InputError",
    "InstanceError",
    "InstanceExistsError",
    "InstanceFilter",
    "InstanceFinishedError",
    "InstanceNotFoundError",
    "InstanceStateError",
    "InstanceStatus",
    "InvalidInstanceIdError",
    "LimitError",
    "Limits",
    "LinkError",
    "LinkFullError",
    "LinkSettings",
    "ManagedIdentityTokenSource",
    "NoSuchLinkError",
    "NonDeterminismError",
    "NotOverLinksError",
    "OrchestrationFailedError",
    "OrchestrationHandle",
    "OrchestrationTerminatedError",
    "OrchestratorFunction",
    "OutboundRefusedError",
    "OutboundSettings",
    "Outbox",
    "PayloadError",
    "PayloadMisfitError",
    "Question",
    "QuestionClosedError",
    "QueueMessage",
    "RegistrationError",
    "RetryPolicy",
    "Role",
    "RowsRefusedError",
    "RuntimeStatus",
    "Settings",
    "SettingsError",
    "StorageCopyError",
    "StorageCorruptError",
    "StorageError",
    "StorageImportedError",
    "StorageLostError",
    "StorageOwnedError",
    "StorageReadOnlyError",
    "StorageUnavailableError",
    "StorageVersionError",
    "SubOrchestrationError",
    "SyncClient",
    "SyncOrchestrationHandle",
    "SyncOutbox",
    "TenutoError",
    "TimerInfo",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnknownFunctionError",
    "WebhookClosedError",
    "WorkError",
    "WorkerCrashedError",
    "current_activity",
    "schedule",
]
