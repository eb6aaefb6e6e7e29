"""An app whose orchestrations wait for what clients say to them."""

from datetime import timedelta

from tenuto import App, Context

app = App()


@app.orchestrator
async def collects(ctx: Context) -> list[int]:
    """All items until a negative one."""
    items: list[int] = []
    while (item := await ctx.wait_for_external_event("item", int)) >= 0:
        items.append(item)
    return items


@app.orchestrator
async def asks(ctx: Context) -> bool:
    return await ctx.ask("Go on?", bool)


@app.orchestrator
async def hook(ctx: Context) -> str:
    ctx.set_custom_status(await ctx.create_webhook("used", expires_in=timedelta(days=7)))
    return await ctx.wait_for_external_event("used", str)


@app.orchestrator
async def parent(ctx: Context, child: str) -> None:
    await ctx.call_sub_orchestrator(collects.options(instance_id=child))
