"""The named SQL of the ``.sql`` files beside it, and the schema's migrations, read once.

Nothing builds SQL at run time.
"""

import re
from importlib.resources import files
from typing import Final

_BLOCK = re.compile(r"^-- (\w+): [^\n]*\n(.*?)(?=^-- \w+: |\Z)", re.MULTILINE | re.DOTALL)
_here = files(__package__)

SQL: Final = {
    name: text.strip()
    for file in ("queries.sql", "topics.sql", "queues.sql", "flow.sql")
    for name, text in _BLOCK.findall(_here.joinpath(file).read_text(encoding="utf-8"))
}
"""Statement by name."""

MIGRATIONS: Final = [
    entry.read_text(encoding="utf-8")
    for entry in sorted(_here.joinpath("schema").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sql")
]
"""Scripts in order; the n-th brings the schema to version n."""
