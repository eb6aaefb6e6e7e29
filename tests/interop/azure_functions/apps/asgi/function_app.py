"""A web application of FastAPI, as one function."""

from collections.abc import AsyncIterator

import azure.functions as func
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

web = FastAPI()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@web.api_route("/", methods=[*METHODS, "HEAD"])
async def root(request: Request, response: Response) -> dict[str, object]:
    response.set_cookie("first", "1", httponly=True)
    response.set_cookie("second", "2", path="/deep")
    return {
        "method": request.method,
        "url": str(request.url),
        "query": request.query_params.multi_items(),
        "cookies": request.cookies,
        "body": (await request.body()).decode(),
    }


@web.get("/deep/{name}/er")
async def deep(name: str, number: int = 0) -> dict[str, object]:
    return {"name": name, "number": number}


@web.get("/pieces")
async def pieces() -> StreamingResponse:
    async def made() -> AsyncIterator[str]:
        for number in range(3):
            yield f"piece {number}\n"

    return StreamingResponse(made(), media_type="text/plain")


@web.get("/fails")
async def fails() -> None:
    raise RuntimeError("in the application")


app = func.AsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS)
