"""``/admin/deployments``: new versions of the app, on a server that takes some.

For who holds an admin key. A session of the dashboard does not do: it was not made for this.
"""

import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import ForbiddenError, HttpError, RouteNotFoundError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.deployments import Deployment, DeploymentList, DeploymentOrder

PATH: Final = f"{ADMIN}/deployments"
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{0,200}")


class Deployments(Protocol):
    """Who takes new versions."""

    async def deploy(self, pieces: AsyncIterator[bytes], order: DeploymentOrder) -> Deployment:
        """Take in a package; what comes of it is found out later."""

    async def roll_back(self, order: DeploymentOrder) -> Deployment:
        """Let another version run; what comes of it is found out later."""

    async def all(self) -> DeploymentList:
        """What is there, and what came of it."""


class DeploymentsApi:
    """The routes for versions of the app.

    Args:
        deployments: Who takes them; None where none are taken.
    """

    def __init__(self, deployments: Deployments | None) -> None:
        self._deployments = deployments

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def deploy(self, call: Call) -> Response:
        deployments = self._allowed(call)
        order = DeploymentOrder(
            kind="deploy",
            label=_text(call, "label"),
            commit=_text(call, "commit"),
            force=call.flag("force", default=False),
        )
        return json_answer(await deployments.deploy(call.pieces(), order), 202)

    async def roll_back(self, call: Call) -> Response:
        deployments = self._allowed(call)
        order = DeploymentOrder(kind="rollback", version=_text(call, "version") or None)
        return json_answer(await deployments.roll_back(order), 202)

    async def all(self, call: Call) -> Response:
        return json_answer(await self._allowed(call).all())

    async def one(self, call: Call) -> Response:
        number = call.parameters["number"]
        for deployment in (await self._allowed(call).all()).deployments:
            if str(deployment.number) == number:
                return json_answer(deployment)
        raise RouteNotFoundError(f"there is no deployment {number!r}")

    def _allowed(self, call: Call) -> Deployments:
        if self._deployments is None:
            raise ForbiddenError(
                "this server takes no deployments: it was not started with --allow-deploy"
            )
        if call.session is not None:
            raise ForbiddenError("deployments need the key itself, a session does not do")
        return self._deployments


def _text(call: Call, name: str) -> str:
    text = call.one(name) or ""
    if _TEXT.fullmatch(text) is None:
        raise HttpError(f"query parameter {name} must be at most 200 characters on one line")
    return text


_ERRORS: Final = (403, 404, 409)
_LIST: Final = Operation(
    summary="Versions of the app, which one runs, and the latest deployments",
    tag="admin",
    answers={200: Answer(text="What there is.", kind=DeploymentList)},
    errors=_ERRORS,
)
_ONE: Final = Operation(
    summary="How far a deployment is, or what came of it",
    tag="admin",
    answers={200: Answer(text="The deployment.", kind=Deployment)},
    errors=_ERRORS,
)
_DEPLOY: Final = Operation(
    summary="Let a new version of the app run: the body is a zip",
    tag="admin",
    parameters=(
        Parameter(name="label", text="What the version is called."),
        Parameter(name="commit", text="The Git commit that it was made from."),
        Parameter(
            name="force",
            text="Whether it runs although instances would be held.",
            schema={"type": "boolean"},
        ),
    ),
    answers={202: Answer(text="It has begun: ask for it by its number.", kind=Deployment)},
    errors=(*_ERRORS, 413),
)
_ROLL_BACK: Final = Operation(
    summary="Let an earlier version run again",
    tag="admin",
    parameters=(
        Parameter(
            name="version",
            text="Which one, or `original`; without it, the one that ran before.",
        ),
    ),
    answers={202: Answer(text="It has begun: ask for it by its number.", kind=Deployment)},
    errors=_ERRORS,
)
_ENDPOINTS: Final[tuple[Endpoint[DeploymentsApi], ...]] = (
    Endpoint("GET", PATH, Role.ADMIN, DeploymentsApi.all, _LIST),
    Endpoint("POST", PATH, Role.ADMIN, DeploymentsApi.deploy, _DEPLOY),
    Endpoint("POST", f"{PATH}/rollback", Role.ADMIN, DeploymentsApi.roll_back, _ROLL_BACK),
    Endpoint("GET", f"{PATH}/{{number}}", Role.ADMIN, DeploymentsApi.one, _ONE),
)
