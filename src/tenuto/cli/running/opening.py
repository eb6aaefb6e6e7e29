"""``tenuto start --open``: the dashboard in a browser, on a machine that has one.

Never a reason for a server not to start, nor to wait: whatever the browser does, it does in a
thread of its own, which nobody waits for.
"""

import logging
import os
import sys
import threading
from typing import Final

_LOGGER: Final = logging.getLogger("tenuto.host")
_SHOWN_BY: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""One of these says that there is a screen, or which browser is wanted. Without, the one that would
be found is a program for the terminal, and that is the server's.
"""


def open_dashboard(url: str | None) -> None:
    """Open it.

    Args:
        url: Where it is; None where it is switched off.
    """
    if url is None:
        _LOGGER.warning("there is no dashboard to be opened: setting http.dashboard is false")
        return
    threading.Thread(target=_open, args=(url,), name="tenuto-open", daemon=True).start()


def _open(url: str) -> None:
    import webbrowser

    why = ""
    try:
        if _has_screen() and webbrowser.open(url):
            return
    except Exception as error:  # noqa: BLE001 - boundary: what a machine calls its browser may do anything
        why = f" ({error})"
    _LOGGER.warning("found no browser to be opened here%s; open %s in one", why, url)


def _has_screen() -> bool:
    return sys.platform in {"win32", "darwin"} or any(map(os.environ.get, _SHOWN_BY))
