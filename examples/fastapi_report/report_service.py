"""A report that takes long, behind an ordinary FastAPI app: a durable job without a second service.

The host runs inside the web app's process. A customer asks for a report and gets an address at
once; behind it the months are worked through, each in an activity. Restart the web app in the
middle: the report goes on where it was.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, Field

from tenuto import App, Context, RuntimeStatus
from tenuto.http import check_status_response

# --- the durable part -----------------------------------------------------------------------------

app = App()

REPORTS = Path("reports")


@dataclass(frozen=True)
class Month:
    name: str
    turnover: int


@app.activity
def add_up_month(customer: str, month: int, seconds: float) -> Month:
    """Stands for a slow query."""
    time.sleep(seconds)
    return Month(f"2026-{month:02}", sum(map(ord, customer)) * month)


@app.activity
def write_report(customer: str, months: list[Month]) -> str:
    REPORTS.mkdir(exist_ok=True)
    file = REPORTS / f"{customer}.txt"
    lines = [f"{month.name}  {month.turnover:>8}" for month in months]
    total = sum(month.turnover for month in months)
    file.write_text("\n".join([customer, *lines, f"total    {total:>8}", ""]), encoding="utf-8")
    return str(file)


@app.orchestrator
async def make_report(ctx: Context, customer: str, months: int, seconds: float) -> str:
    done: list[Month] = []
    for month in range(1, months + 1):
        ctx.set_custom_status(f"{len(done)} of {months} months")
        done.append(await ctx.call_activity(add_up_month, customer, month, seconds))
    return await ctx.call_activity(write_report, customer, done)


# --- the web app, as it would be without ----------------------------------------------------------

durable = app.asgi("/durable")
api = FastAPI(title="Reports", lifespan=durable.lifespan)
api.mount(durable.path, durable)


class ReportOrder(BaseModel):
    customer: Annotated[str, Field(pattern="^[a-z]+$")]
    months: Annotated[int, Field(ge=1, le=12)] = 12
    seconds_per_month: Annotated[float, Field(ge=0)] = 1.0


@api.post("/reports")
async def order_report(request: Request, order: ReportOrder) -> Response:
    """Begin a report, and say where to ask for it."""
    handle = await durable.client.start(
        make_report, order.customer, order.months, order.seconds_per_month
    )
    answer = check_status_response(request, handle)
    answer.headers["Location"] = str(request.url_for("get_report", report=handle.instance_id))
    return answer


@api.get("/reports/{report}")
async def get_report(report: str) -> Response:
    """The report, or how far it is."""
    status = await durable.client.get_status(report)
    if status is None or status.name != make_report.name:
        raise HTTPException(404, "there is no such report")
    if status.runtime_status is RuntimeStatus.COMPLETED:
        return FileResponse(str(status.output))
    if status.runtime_status.is_finished:
        raise HTTPException(500, "this report could not be made")
    return PlainTextResponse(str(status.custom_status), 202, headers={"Retry-After": "2"})
