"""The tables of the page on Azure Functions apps are those in the code."""

import re
from pathlib import Path

from tenuto.interop.azure_app.folder.bindings import KNOWN_BINDINGS
from tenuto.interop.azure_app.folder.host_keys import HOST_KEYS

PAGE = Path(__file__).parents[2] / "docs" / "azure-functions.md"


def table(name: str) -> str:
    """What stands on the page between the marks of a table."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(f"<!-- {re.escape(name)} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found is not None, name
    return found[1]


def test_the_page_has_each_key_of_host_json_and_what_becomes_of_it() -> None:
    rows = "".join(f"| `{one.path}` | {one.level} | {one.text} |\n" for one in HOST_KEYS)
    assert table("host.json") == f"| key | | |\n|---|---|---|\n{rows}"


def test_the_page_has_each_binding_that_is_known() -> None:
    rows = "".join(f"| `{name}` | {what} |\n" for name, what in KNOWN_BINDINGS.items())
    assert table("bindings") == f"| binding | |\n|---|---|\n{rows}"
