"""An app whose orchestrations programs start, and tell something, through an outbox."""

from tenuto import App, Context

app = App()


@app.orchestrator
async def bill(ctx: Context, order: int) -> int:
    return order


@app.orchestrator
async def text_of(ctx: Context, text: str) -> int:
    return len(text)


@app.orchestrator
async def told(ctx: Context) -> str:
    return await ctx.wait_for_external_event("word", str)


@app.orchestrator
async def heard(ctx: Context, key: str) -> dict[str, int]:
    data: dict[str, int] = (await ctx.wait_for_event("orders", dict[str, int], match=key)).data
    return data
