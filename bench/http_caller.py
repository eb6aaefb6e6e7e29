"""Sends the same request over and over, and prints rate and latencies as JSON.

Usage: ``python -m bench.http_caller PORT METHOD PATH COUNT``.
"""

import asyncio
import json
import statistics
import sys
import time

from bench.serving import CONNECTIONS
from tenuto.host.own_loop import run_on_fast_loop


async def call(port: int, method: str, path: str, count: int) -> dict[str, float]:
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    milliseconds: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(
        *(
            _connection(port, request, count // CONNECTIONS, milliseconds)
            for _ in range(CONNECTIONS)
        )
    )
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"rate": len(milliseconds) / seconds, "p50_ms": cuts[49], "p99_ms": cuts[98]}


async def _connection(port: int, request: bytes, count: int, milliseconds: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if head[9:10] != b"2":
            raise AssertionError(head.decode())
        _, _, rest = head.lower().partition(b"content-length: ")
        await reader.readexactly(int(rest.partition(b"\r")[0]))
        milliseconds.append((time.perf_counter() - began) * 1000)
    writer.close()


if __name__ == "__main__":
    _, port, method, path, count = sys.argv
    print(json.dumps(run_on_fast_loop(call(int(port), method, path, int(count)))))
