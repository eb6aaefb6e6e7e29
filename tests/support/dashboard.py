"""The dashboard as somebody sees it: a page in a browser, and what it did that it must not do."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, Request, ViewportSize

_ROOT: Final = Path(__file__).parents[2]
_AXE: Final = "node_modules/axe-core/axe.min.js"

DESK: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 360, "height": 720}

WCAG_AA: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

_TELL_OF_THE_POLICY: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


def axe() -> Path:
    """The file that looks for what hinders people: of ``make dashboard-ready``, or ``npm ci``."""
    folders = (_ROOT / ".venvs/dashboard/dashboard", _ROOT / "dashboard")
    found = [folder / _AXE for folder in folders if (folder / _AXE).exists()]
    assert found, "there is no axe-core: make dashboard-ready"
    return found[0]


BROKEN_OFF: Final = "ERR_(CONNECTION|INCOMPLETE|EMPTY_RESPONSE|CONTENT_LENGTH_MISMATCH)"
"""What the console says of requests that a host has not answered, or not to the end."""


@dataclass
class Visit:
    """Somebody who looks at the dashboard of one server.

    ``expected`` has patterns of what the console may say: a refusal by the server is one of the
    browser's errors as well.
    """

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors of scripts, of the console and of the policy, and requests to elsewhere."""
        self.page.context.on("console", self._said)
        self.page.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.page.context.on("request", self._asked)

    async def go(self, address: str = "#/") -> None:
        """Open a view by its address."""
        await self.page.goto(f"{self.base}/dashboard{address}")

    async def hinders(self, *, only: list[str] | None = None) -> list[str]:
        """What axe says against the page as it is; ``only`` has rules instead of all of WCAG AA."""
        chosen: dict[str, Any] = {"type": "tag", "values": WCAG_AA}
        if only is not None:
            chosen = {"type": "rule", "values": only}
        found = await self.page.evaluate(
            "(runOnly) => axe.run(document, {runOnly, resultTypes: ['violations']})", chosen
        )
        return [
            f"{one['id']}: {node['html']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def is_too_wide(self) -> bool:
        """Whether the page as a whole can be scrolled to the side."""
        too_wide = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return bool(too_wide)

    def unexpected(self) -> list[str]:
        """What must not have happened."""
        allowed = re.compile("|".join(self.expected) or r"(?!)")
        return [one for one in self.problems if not allowed.search(one)]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.text} {message.location.get('url', '')}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:")):
            self.problems.append(f"asked for {request.url}")


Look = Callable[..., Awaitable[Visit]]
"""Opens a visit to the server at an address, with options of the browser's context."""


@asynccontextmanager
async def visiting(browser: Browser, base: str, **options: Any) -> AsyncIterator[Visit]:
    """Look at the dashboard of a server, with a profile that is new.

    Args:
        browser: Whose page it becomes.
        base: The server.
        **options: Of the browser's context.
    """
    context = await browser.new_context(
        **{"viewport": DESK, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}
        | options
    )
    context.set_default_timeout(20_000)
    await context.add_init_script(_TELL_OF_THE_POLICY)
    visit = Visit(await context.new_page(), base)
    visit.watch()
    try:
        yield visit
    finally:
        await context.close()
    wrong = visit.unexpected()
    assert not wrong, "\n".join(wrong)
