"""Failures in parts, as packages are told them and as they say them.

What a package reads has keys that begin with a capital letter; what it writes, with a small one.
"""

from typing import Any

import msgspec
from msgspec import Struct

from tenuto.model.failure import FailureDetails


def failure_parts(failure: FailureDetails) -> dict[str, Any]:
    """A failure as a package reads it."""
    inner = failure.inner_failure
    return {
        "ErrorType": failure.error_type,
        "ErrorMessage": failure.error_message,
        "StackTrace": failure.stack_trace or "",
        "IsNonRetriable": failure.is_non_retriable,
        "Properties": failure.properties or {},
        "InnerFailure": None if inner is None else failure_parts(inner),
    }


class _PackageFailure(Struct, frozen=True, rename="camel"):
    """A failure as a package writes it, whose keys begin with a small letter."""

    error_type: str = "Error"
    error_message: str = ""
    stack_trace: str | None = None
    is_non_retriable: bool = False
    properties: dict[str, object] | None = None
    inner_failure: "_PackageFailure | None" = None

    @property
    def failure(self) -> FailureDetails:
        inner = self.inner_failure
        return FailureDetails(
            self.error_type,
            self.error_message,
            self.stack_trace,
            None if inner is None else inner.failure,
            self.is_non_retriable,
            properties=self.properties,
        )


def package_failure(text: str) -> FailureDetails | None:
    """A failure as a package has written it; None for anything else."""
    try:
        return msgspec.json.decode(text, type=_PackageFailure).failure
    except (msgspec.DecodeError, RecursionError):  # a package is free to say something else there
        return None
