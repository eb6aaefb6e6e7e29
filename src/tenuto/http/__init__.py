"""HTTP: management API, function routes, keys, live updates, health and metrics, as one ASGI app.

Owns everything between a socket and the gateway into the host's own engine. Must never change an
instance but through that gateway, and never answer before what it says is durable.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenuto.http.functions.responses import check_status_response, wait_or_check_status_response

__all__ = ["check_status_response", "wait_or_check_status_response"]


def __getattr__(name: str) -> object:
    if name in __all__:
        # Late: `import tenuto` reads the settings of the server, but must not load Starlette.
        from tenuto.http.functions import responses  # noqa: PLC0415

        return getattr(responses, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
