"""An app for uvicorn as it is: ``uvicorn tests.support.embedded_app:web``, without keys."""

from tenuto import App, Context, Settings

app = App()


@app.orchestrator
async def greet(ctx: Context, name: str = "you") -> str:
    return f"Hello {name}!"


@app.http("GET", "/anonymous")
async def anonymous() -> str:
    return "anybody"


web = app.asgi(settings=Settings(storage="sqlite://"))
