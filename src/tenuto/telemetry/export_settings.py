"""What the one who runs a host decides of what it sends on: traces, metrics and logs by OTLP."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from tenuto.model.spans import SpanRules

Signal: TypeAlias = Literal["traces", "metrics", "logs"]


class TelemetrySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces, metrics and logs are sent; nowhere unless one of the two addresses is given.

    Attributes:
        endpoint: The address of an OTLP receiver over HTTP, without the path of a signal.
        headers: Sent with each request to it.
        connection_string: Of Azure's Application Insights: sent there too.
        send: What is sent.
        ratio: The share of the traces that begin here of which spans are written.
        seconds: How long what has happened may wait until it is sent together.
        service: The name under which the host is found there.
    """

    endpoint: Annotated[str, Meta(pattern=r"^(https?://\S+)?$")] = ""
    headers: dict[str, str] = {}
    connection_string: str = ""
    send: tuple[Signal, ...] = ("traces", "metrics", "logs")
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    seconds: Annotated[float, Meta(ge=0.01)] = 5.0
    service: Annotated[str, Meta(min_length=1)] = "tenuto"

    @property
    def is_on(self) -> bool:
        """Whether anything is sent anywhere."""
        return bool((self.endpoint or self.connection_string) and self.send)

    @property
    def span_rules(self) -> SpanRules | None:
        """Which traces have spans; None for none."""
        return SpanRules(self.ratio) if self.is_on and "traces" in self.send else None
