"""On which store the suites run.

With ``SUITE_STORAGE=postgres`` each ``TestHost`` that nobody gives a store has a hub of its own in
PostgreSQL, instead of one in memory: what the engine promises holds there too.
"""

import os
from typing import Any

import pytest

import tenuto.testing.host
from tests.support.postgres import Postgres

__all__ = ["IS_POSTGRES", "suite_storage"]

IS_POSTGRES = os.environ.get("SUITE_STORAGE") == "postgres"


@pytest.fixture(scope="session", autouse=IS_POSTGRES)
def suite_storage(request: pytest.FixtureRequest) -> None:
    """Give test hosts a hub in PostgreSQL."""
    server: Postgres = request.getfixturevalue("postgres")
    plain = tenuto.testing.host.TestHost.__init__

    def made(self: tenuto.testing.host.TestHost, app: Any, **given: Any) -> None:  # noqa: ANN401
        given.setdefault("storage", server.fresh_url())
        plain(self, app, **given)

    tenuto.testing.host.TestHost.__init__ = made  # type: ignore[method-assign]
