"""The limits of DESIGN 3, each a setting."""

from msgspec import Struct

from tenuto.model.errors import LimitError


class Limits(Struct, frozen=True, kw_only=True):
    """What one orchestration may use up before it is stopped with an error.

    Attributes:
        payload_bytes: Longest payload (input, output, event, custom status) in bytes of JSON.
        history_events: Events in the history of one execution.
        history_bytes: Bytes of JSON in the history of one execution.
        actions_per_turn: Actions decided in one turn.
        turn_bytes: Bytes of JSON decided in one turn. What comes in is never a limit: it is cut
            over several turns.
        callbacks_per_event: Steps of tasks, and other callbacks, that one event sets off.
        nesting_depth: Levels of sub-orchestrations below the root.
        open_descendants: Unfinished instances below one root at the same time.
        generations_per_minute: Continue-as-new generations in a minute without a timer, an event
            or an activity between them.
    """

    payload_bytes: int = 4 * 1024 * 1024
    history_events: int = 1_000_000
    history_bytes: int = 1024 * 1024 * 1024
    actions_per_turn: int = 250_000
    turn_bytes: int = 256 * 1024 * 1024
    callbacks_per_event: int = 2_500_000
    nesting_depth: int = 50
    open_descendants: int = 100_000
    generations_per_minute: int = 600


def limit_error(setting: str, limit: int, what: str) -> LimitError:
    """The error for a crossed limit, naming it and the setting that raises it."""
    return LimitError(f"{what}; {limit_words(setting, limit)}")


def limit_words(setting: str, limit: int) -> str:
    """What such an error says of the limit alone."""
    return (
        f"the limit is {limit:,} (setting limits.{setting}, "
        f"environment TENUTO_LIMITS_{setting.upper()})"
    )


def check_payload(text: str | None, limit: int, what: str) -> None:
    """Refuse JSON text that is longer than allowed.

    Args:
        text: A payload; None for none.
        limit: ``Limits.payload_bytes``.
        what: What it is, such as ``the input of 'book_trip'``.

    Raises:
        LimitError: naming it, its length and the setting.
    """
    if text is not None and len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise limit_error("payload_bytes", limit, f"{what} takes {size:,} bytes")
