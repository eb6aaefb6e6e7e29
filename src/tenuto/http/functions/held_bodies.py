"""Bodies that are held for callers who have shown no key: so many bytes at a time, of all together.

Each may be as long as any other (``http.body_bytes``). But anybody may send them, as many as he has
connections, and each stays until its function has answered.
"""

from typing import Final, Self

from tenuto.http.errors import HttpError

_TOO_MANY: Final = 429


class HeldBodies:
    """The bodies of one server.

    Args:
        most_bytes: Of all of them.

    Example:
        ``with bodies.one() as held: body = await call.body(held.grow)``
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0

    def one(self) -> "HeldBody":
        """Another one, which is held until its block ends."""
        return HeldBody(self)

    def add(self, count: int) -> None:
        """So many bytes more are held.

        Raises:
            HttpError: there is no room for them.
        """
        if self._bytes + count > self._most:
            raise HttpError(
                "the server holds as much as it may for callers without a key (setting "
                "http.anonymous_bytes); try again",
                status=_TOO_MANY,
            )
        self._bytes += count

    def remove(self, count: int) -> None:
        """So many are not held any more."""
        self._bytes -= count


class HeldBody:
    """A body that comes, or has come."""

    def __init__(self, bodies: HeldBodies) -> None:
        self._bodies = bodies
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bodies.remove(self._bytes)

    def grow(self, count: int) -> None:
        """A part of it has come.

        Raises:
            HttpError: there is no room for it.
        """
        self._bodies.add(count)
        self._bytes += count
