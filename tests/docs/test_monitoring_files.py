"""The dashboard for Grafana and the collector's file: what they name exists."""

import json
import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from tenuto import App
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tenuto.telemetry.json_log import JsonFormatter

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")


def expressions(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the dashboard asks Prometheus, and how it names the answers."""
    return [
        (target["expr"], target["legendFormat"])
        for panel in panels
        for target in panel.get("targets", [])
    ]


async def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    document = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    settings = load_settings(environment={}, folder=ROOT, storage="sqlite://", http_port=0).values
    async with Server(App(), settings=settings) as server, httpx2.AsyncClient() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    known = set(kinds) | {f"{one}_bucket" for one, kind in kinds.items() if kind == "histogram"}
    asked = expressions(document["panels"])
    assert len(asked) > 30
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("## Metrics")[2].partition("```")[0]
    for expression, legend in asked:
        names = re.findall(r"\b(?:tenuto|process)_\w+", expression)
        assert names, expression
        for name in names:
            assert name in known, name
            is_counter = kinds.get(name) == "counter" or name.endswith("_bucket")
            assert (f"rate({name}" in expression) == is_counter, expression
            first = rf"^\| [^|]*`{name.removesuffix('_bucket')}`[^|]*\|.*$"
            (row,) = re.findall(first, table, re.MULTILINE)
            for label in set(re.findall(r"\{\{(\w+)\}\}", legend)) - {"instance"}:
                assert label in row, (name, label)
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_the_collector_takes_what_a_host_gives() -> None:
    text = (DEPLOY / "otel-collector.yaml").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^(\w+):\n((?: .*\n|\n)+)", text, re.MULTILINE))
    for kind in ("receivers", "processors", "exporters"):
        defined = set(re.findall(r"^  (\w+):", parts[kind], re.MULTILINE))
        lists = re.findall(rf"{kind}: \[([^\]]+)\]", parts["service"])
        assert {name for one in lists for name in one.split(", ")} == defined, kind
    for variable in re.findall(r"\$\{env:(\w+)\}", text):
        assert f"`{variable}`" in PAGE, variable
    record = logging.makeLogRecord({"msg": "m", "levelname": "WARNING", "trace_id": "a" * 32})
    line = json.loads(JsonFormatter().format(record))
    for field in re.findall(r"attributes\.(\w+)", text):
        assert field in line, field
    (layout,) = re.findall(r'layout: "(.+)"', text)
    assert layout == "%Y-%m-%dT%H:%M:%S.%LZ"
    assert line["time"].endswith("Z")
    datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%f%z")
