"""Fail when the type of anything public is not fully stated.

``pyright --verifytypes`` looks at every module. What people may use is what ``tenuto`` and
``tenuto.testing`` export, and ``tenuto.schedule``: only complaints about these count here.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PUBLIC_MODULES = ("tenuto", "tenuto.testing", "tenuto.schedule")


def public_names() -> set[str]:
    """Where the exported objects are defined: ``tenuto.client.client.Client``."""
    names = set()
    for module_name in PUBLIC_MODULES:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", vars(module)):
            exported = getattr(module, name)
            home = getattr(exported, "__module__", None)
            if isinstance(home, str) and home.startswith("tenuto"):
                names.add(f"{home}.{exported.__qualname__}")
    return names


def is_public(symbol: str, names: set[str]) -> bool:
    """Whether the symbol is an exported object or a public part of one."""
    for name in names:
        if symbol == name:
            return True
        if symbol.startswith(f"{name}."):
            rest = symbol.removeprefix(f"{name}.")
            return not any(
                part.startswith("_") and not part.endswith("__") for part in rest.split(".")
            )
    return False


def complaints(report: dict[str, Any], names: set[str]) -> list[str]:
    """A line for each public symbol whose type is not fully known."""
    return [
        f"{symbol['name']}: {diagnostic['message'].splitlines()[0]}"
        for symbol in report["typeCompleteness"]["symbols"]
        if not symbol["isTypeKnown"] and is_public(symbol["name"], names)
        for diagnostic in symbol["diagnostics"]
    ]


def main() -> int:
    """Run pyright and print what is missing."""
    pyright = Path(sys.executable).with_name("pyright")
    command = [str(pyright), "--ignoreexternal", "--verifytypes", "tenuto", "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = public_names()
    found = complaints(json.loads(done.stdout), names)
    for line in found:
        print(line)
    print(f"{len(names)} public objects, {len(found)} complaints about their types")
    return 1 if found or not names else 0


if __name__ == "__main__":
    sys.exit(main())
