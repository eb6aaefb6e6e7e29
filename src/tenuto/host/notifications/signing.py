"""The signature of webhooks, as Standard Webhooks 1.0 has it (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from tenuto.model.errors import InputError

_PREFIX: Final = "whsec_"
_LEAST_BYTES: Final = 24


def signing_keys(secret: str) -> list[bytes]:
    """The keys that a secret stands for: one, or two while one replaces the other.

    Raises:
        InputError: it is no secret of that kind. What it is, is not said.
    """
    keys = []
    for one in secret.split():
        try:
            key = base64.b64decode(one.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not one.startswith(_PREFIX) or len(key) < _LEAST_BYTES:
            raise InputError(
                f"a webhook's secret is {_PREFIX} and Base64 of {_LEAST_BYTES} bytes or more; make "
                f"""one: python -c 'import base64, os; print("{_PREFIX}" + """
                """base64.b64encode(os.urandom(32)).decode())'"""
            )
        keys.append(key)
    return keys


def signed_headers(keys: list[bytes], message_id: str, seconds: int, body: str) -> dict[str, str]:
    """The headers that let a receiver see who has sent a body, and when.

    Args:
        keys: Each gives a signature.
        message_id: The same for each attempt.
        seconds: The time of this attempt, in seconds since 1970 UTC.
        body: What is sent, to the letter.
    """
    content = f"{message_id}.{seconds}.{body}".encode()
    signatures = [
        "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        for key in keys
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }
