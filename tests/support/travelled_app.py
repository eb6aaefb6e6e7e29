"""An orchestration with retries, waits, children and log lines, looked at by source line."""

from datetime import timedelta

from tenuto import App, Context, RetryPolicy

HOUR = timedelta(hours=1)
_SOON = RetryPolicy(max_attempts=3, first_interval=timedelta(milliseconds=100))


def travelled_app() -> App:
    app = App()
    tries: list[int] = []

    @app.activity(retry=_SOON)
    def pack(count: int) -> str:
        tries.append(count)
        if len(tries) < 3:
            raise ConnectionError("the shelf is locked")
        return f"{count} packed"

    @app.orchestrator
    async def bring(ctx: Context, street: str) -> str:
        return await ctx.wait_for_external_event("Brought", str)

    @app.orchestrator
    async def parcel(ctx: Context, street: str) -> str:
        total = 1
        ctx.logger.warning("packs for <b>%s</b>", street)
        packed = await ctx.call_activity(pack, total)
        total = 2
        ctx.set_custom_status({"packed": packed})
        label = await ctx.wait_for_external_event("Labelled", str)
        total = 3
        await ctx.publish("parcels", {"label": label}, key=street)
        pause = ctx.create_timer(HOUR)
        brought = await ctx.call_sub_orchestrator(bring, street)
        await pause
        return f"{brought} {total}"

    return app
