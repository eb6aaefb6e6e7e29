"""A receiver of OTLP over HTTP: decodes what the real protocol has, and keeps it."""

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """Listens while it is open.

    Attributes:
        spans: All that came, in order, with what was sent again.
        metrics: The same.
        logs: The same.
        services: Of which services.
        headers: Of the last request.
        answer: Given the path and the number of a request, the status to answer with.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: list[Metric] = []
        self.logs: list[LogRecord] = []
        self.services: set[str] = set()
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.answer: Callable[[str, int], int] = lambda _path, _number: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver._take(self.path, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _take(self, path: str, body: bytes) -> int:
        self.requests += 1
        status = self.answer(path, self.requests)
        if status >= 300:
            return status
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                self._serve(resource.resource.attributes)
                self.spans += [one for scope in resource.scope_spans for one in scope.spans]
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            for measured in metrics.resource_metrics:
                self._serve(measured.resource.attributes)
                self.metrics += [one for scope in measured.scope_metrics for one in scope.metrics]
        elif path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body)
            for logged in logs.resource_logs:
                self._serve(logged.resource.attributes)
                self.logs += [one for scope in logged.scope_logs for one in scope.log_records]
        else:
            return 404
        return status

    def _serve(self, attributes: object) -> None:
        for one in attributes:  # type: ignore[attr-defined]  # a list of the protocol
            if one.key == "service.name":
                self.services.add(one.value.string_value)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
