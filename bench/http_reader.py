"""Reads one address over and over on one connection, and prints latencies as JSON.

Usage: ``python -m bench.http_reader PORT PATH COUNT``.
"""

import http.client
import json
import statistics
import sys
import time


def main() -> None:
    _, port, path, count = sys.argv
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    milliseconds = []
    for _ in range(int(count)):
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        milliseconds.append((time.perf_counter() - began) * 1000)
        if answer.status not in {200, 202}:
            raise AssertionError(answer.status)
        time.sleep(0.001)
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    print(json.dumps({"p50_ms": cuts[49], "p99_ms": cuts[98]}))


if __name__ == "__main__":
    main()
