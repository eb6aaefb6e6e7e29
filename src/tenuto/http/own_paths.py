"""The first segments of paths that are the server's own. Pure data."""

from typing import Final

from tenuto.http.options import HttpSettings

DASHBOARD: Final = "dashboard"
SESSION: Final = "session"
OF_THE_DASHBOARD: Final = frozenset({DASHBOARD, SESSION})
"""Where the dashboard is switched off, functions of programs may have these."""

RESERVED: Final = OF_THE_DASHBOARD | {
    *("admin", "api", "callbacks", "durabletask", "healthz", "metrics", "openapi.json"),
    *("results", "runtime"),
}


def own_segments(settings: HttpSettings) -> frozenset[str]:
    """Those of a server with these settings."""
    return RESERVED if settings.dashboard else RESERVED - OF_THE_DASHBOARD
