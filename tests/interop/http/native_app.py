"""An app of this process, for clients of the packages to start and steer."""

from typing import Any

from tenuto import App, Context


def native_app() -> App:
    """Orchestrators that take anything, nothing, or a number that may be left out."""
    app = App()

    @app.orchestrator
    async def hello(ctx: Context, name: Any = None) -> Any:  # noqa: ANN401 - any JSON
        ctx.set_custom_status({"name": name})
        return {"hello": name}

    @app.orchestrator
    async def waits(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Go")

    @app.orchestrator
    async def fails(ctx: Context) -> None:
        raise ValueError(f"{ctx.instance_id} cannot be done")

    @app.orchestrator
    async def counts(ctx: Context, number: int = 3) -> int:
        return number + len(ctx.instance_id) * 0

    return app
