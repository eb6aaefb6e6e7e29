"""Plain Python functions that survive crashes and months of waiting.

One SQLite file; PostgreSQL when you grow.
"""

from tenuto import schedule
from tenuto.client.client import Client, InstanceFilter, OrchestrationHandle
from tenuto.client.status import DeadLetterStatus, InstanceStatus
from tenuto.engine.starts import IdReuse
from tenuto.functions.activity_context import ActivityContext, current_activity
from tenuto.host.app import App
from tenuto.host.host import Host
from tenuto.host.settings import Settings
from tenuto.model.errors import (
    ActivityError,
    ActivityTimeoutError,
    AppLoadError,
    FencedError,
    GuardError,
    InputError,
    InstanceError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    InvalidInstanceIdError,
    LimitError,
    NonDeterminismError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
    PayloadError,
    RegistrationError,
    SettingsError,
    StorageCorruptError,
    StorageError,
    StorageOwnedError,
    StorageReadOnlyError,
    StorageUnavailableError,
    StorageVersionError,
    SubOrchestrationError,
    TenutoError,
    UnknownFunctionError,
    WorkError,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.limits import Limits
from tenuto.model.retry import RetryPolicy
from tenuto.model.status import RuntimeStatus
from tenuto.orchestration.context import Context
from tenuto.orchestration.references import ActivityFunction, OrchestratorFunction
from tenuto.orchestration.tasks import DurableTask

__version__ = "0.1.0"

__all__ = [
    "ActivityContext",
    "ActivityError",
    "ActivityFunction",
    "ActivityTimeoutError",
    "App",
    "AppLoadError",
    "Client",
    "Context",
    "DeadLetterStatus",
    "DurableTask",
    "FailureDetails",
    "FencedError",
    "GuardError",
    "Host",
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
    "NonDeterminismError",
    "OrchestrationFailedError",
    "OrchestrationHandle",
    "OrchestrationTerminatedError",
    "OrchestratorFunction",
    "PayloadError",
    "RegistrationError",
    "RetryPolicy",
    "RuntimeStatus",
    "Settings",
    "SettingsError",
    "StorageCorruptError",
    "StorageError",
    "StorageOwnedError",
    "StorageReadOnlyError",
    "StorageUnavailableError",
    "StorageVersionError",
    "SubOrchestrationError",
    "TenutoError",
    "UnknownFunctionError",
    "WorkError",
    "current_activity",
    "schedule",
]
