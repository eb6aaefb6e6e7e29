"""The life of a small box that is offline half of the time: store and forward.

The box is provisioned, takes a reading every ten minutes, and is decommissioned one day. Readings
go through an outbox that is an orchestration of its own: what cannot be sent waits there, through
crashes and for as long as it takes. The cloud is a folder named ``cloud`` in the current one; while
there is none, the box is offline.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tenuto import ActivityContext, ActivityError, App, Context, RetryPolicy

app = App()

CLOUD = Path("cloud")


@dataclass(frozen=True)
class Device:
    name: str
    every: timedelta = timedelta(minutes=10)
    retry_every: timedelta = timedelta(minutes=15)
    capacity: int = 1000  # a small disk: of the readings that wait, the oldest go first
    certificate: str | None = None  # once it is provisioned
    readings: int = 0


@dataclass(frozen=True)
class Reading:
    number: int
    celsius: float
    taken_at: datetime


@dataclass(frozen=True)
class Parcel:
    """What the device hands to its outbox."""

    readings: list[Reading]
    is_last: bool = False


@dataclass(frozen=True)
class Outbox:
    device: str
    retry_every: timedelta
    capacity: int
    waiting: list[Reading] = field(default_factory=list)
    is_closing: bool = False
    sent: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Life:
    readings: int
    sent: int
    dropped: int


class OfflineError(Exception):
    """There is no way to the cloud just now."""


# For ever, in effect: the box has nothing better to do.
UNTIL_ONLINE = RetryPolicy(
    max_attempts=1_000_000,
    first_interval=timedelta(seconds=1),
    backoff=2.0,
    max_interval=timedelta(minutes=15),
)


# --- orchestrators --------------------------------------------------------------------------------


@app.orchestrator
async def live(ctx: Context, device: Device) -> Life:
    outbox = f"{ctx.instance_id}-outbox"
    if device.certificate is None:
        certificate = await ctx.call_activity(provision, device.name)
        device = replace(device, certificate=certificate)
        box = Outbox(device.name, device.retry_every, device.capacity)
        ctx.start_orchestrator(forward.options(instance_id=outbox), ctx.instance_id, box)

    celsius = await ctx.call_activity(read_thermometer, device.readings)
    reading = Reading(device.readings, celsius, ctx.current_time)
    ctx.send_event(outbox, "parcel", Parcel([reading]))
    device = replace(device, readings=device.readings + 1)
    try:
        await ctx.wait_for_external_event("decommission", timeout=device.every)
    except TimeoutError:
        ctx.continue_as_new(device)  # each reading is a generation: the history stays short
        return Life(device.readings, 0, 0)

    ctx.set_custom_status("waiting for the outbox to be empty")
    ctx.send_event(outbox, "parcel", Parcel([], is_last=True))
    emptied = await ctx.wait_for_external_event("outbox emptied", Outbox)
    await ctx.call_activity(revoke, device.name)
    return Life(device.readings, emptied.sent, emptied.dropped)


@app.orchestrator
async def forward(ctx: Context, owner: str, box: Outbox) -> None:
    pause = box.retry_every if box.waiting else None
    try:
        parcel = await ctx.wait_for_external_event("parcel", Parcel, timeout=pause)
        waiting = [*box.waiting, *parcel.readings]
        box = replace(box, waiting=waiting, is_closing=parcel.is_last)
    except TimeoutError:
        pass  # time to try again

    if box.waiting:
        try:
            await ctx.call_activity(upload, box.device, box.waiting)
            box = replace(box, waiting=[], sent=box.sent + len(box.waiting))
        except ActivityError:
            over = max(0, len(box.waiting) - box.capacity)
            box = replace(box, waiting=box.waiting[over:], dropped=box.dropped + over)
    ctx.set_custom_status({"waiting": len(box.waiting), "sent": box.sent, "dropped": box.dropped})

    if box.is_closing and not box.waiting:
        ctx.send_event(owner, "outbox emptied", box)
    else:
        ctx.continue_as_new(owner, box)


# --- activities -----------------------------------------------------------------------------------


@app.activity(retry=UNTIL_ONLINE)
def provision(activity: ActivityContext, device: str) -> str:
    """Ask for a certificate; asked again with the same key, the cloud gives the same one."""
    certificate = f"certificate of {device}, request {activity.idempotency_key}"
    _put(f"{device}/certificate.txt", certificate.encode())
    return certificate


@app.activity
def read_thermometer(number: int) -> float:
    return round(20 + 5 * math.sin(number / 10), 1)


@app.activity
def upload(device: str, readings: list[Reading]) -> None:
    # Each under its number: what was uploaded before the line broke is written over, not doubled.
    for reading in readings:
        _put(f"{device}/{reading.number:06}.json", msgspec.json.encode(reading))


@app.activity(retry=UNTIL_ONLINE)
def revoke(device: str) -> None:
    _put(f"{device}/certificate.txt", b"revoked")


def _put(name: str, data: bytes) -> None:
    if not CLOUD.is_dir():
        raise OfflineError("no way to the cloud")
    file = CLOUD / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
