"""The router: which of many things with a path and methods a request belongs to.

One for all of the server: its own routes and functions behind HTTP. Paths are templates
(``templates``, ``functions.route_templates``). A literal segment wins over a parameter, whatever
was added first.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from tenuto.http.errors import HttpError, MethodNotAllowedError, RouteNotFoundError
from tenuto.model.errors import InputError

T = TypeVar("T")


def path_parts(raw_path: bytes) -> list[str]:
    """A path's segments, decoded; an empty one for the path without any.

    Raises:
        HttpError: the path is not UTF-8.
    """
    try:
        return [unquote_to_bytes(part).decode() for part in raw_path.strip(b"/").split(b"/")]
    except UnicodeDecodeError:
        raise HttpError("the path is not UTF-8 once its %XX are decoded") from None


class Template(Protocol):
    """What matches paths."""

    @property
    def path(self) -> str:
        """As it is shown."""

    @property
    def order(self) -> tuple[int, ...]:
        """The template that sorts first is asked first."""

    @property
    def shape(self) -> tuple[str | int, ...]:
        """Equal for templates that match the same paths."""

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """What the parameters stand for in a path; None when it is another one."""


class Router(Generic[T]):
    """Finds what answers a request.

    Args:
        entries: Each with its path and its methods; GET answers HEAD too.

    Raises:
        InputError: two of them would answer the same requests.
    """

    def __init__(self, entries: Iterable[tuple[Template, Collection[str], T]] = ()) -> None:
        self._entries = sorted(entries, key=lambda entry: entry[0].order)
        taken: dict[tuple[str, tuple[str | int, ...]], Template] = {}
        for template, methods, _ in self._entries:
            for method in methods:
                other = taken.setdefault((method, template.shape), template)
                if other is not template:
                    raise InputError(
                        f"two answer the same requests: {method} {other.path} and {method} "
                        f"{template.path}"
                    )

    def find(self, method: str, parts: Sequence[str], path: str) -> tuple[T, dict[str, str]]:
        """What answers, and what the parameters of its path stand for.

        Args:
            method: Of the request.
            parts: The path's segments.
            path: The whole path, for whoever is told that there is nothing.

        Raises:
            RouteNotFoundError: nothing has this path.
            MethodNotAllowedError: something has, but answers other methods.
        """
        others: set[str] = set()
        fallback: tuple[T, dict[str, str]] | None = None
        for template, methods, found in self._entries:
            values = template.match(parts)
            if values is None:
                continue
            if method in methods:
                return found, values
            if method == "HEAD" and fallback is None and "GET" in methods:
                fallback = found, values
            others.update(methods)
        if fallback is not None:
            return fallback
        if not others:
            raise RouteNotFoundError(f"there is nothing at {path}")
        reason = f"{path} answers {', '.join(sorted(others))}, not {method}"
        if "GET" in others:
            others.add("HEAD")
        raise MethodNotAllowedError(reason, sorted(others))

    def has(self, parts: Sequence[str]) -> bool:
        """Whether something has this path, whatever its methods."""
        return any(template.match(parts) is not None for template, _, _ in self._entries)
