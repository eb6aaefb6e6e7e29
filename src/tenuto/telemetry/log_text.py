"""The text of a log record, whatever a caller has put into it."""

import logging


def message_of(record: logging.LogRecord) -> str:
    """The message with its arguments; with both side by side when they do not fit together."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - a line with a mistake in it is still a line
        arguments = safe_text(record.args)
        return (
            f"{safe_text(record.msg)} % {arguments} (cannot be formatted: {type(error).__name__})"
        )


def safe_text(value: object) -> str:
    """Text that every encoding of Unicode takes, of anything."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()
