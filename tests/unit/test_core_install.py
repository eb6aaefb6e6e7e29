"""What comes along with ``pip install tenuto``."""

import re
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement


def closure(name: str, found: set[str], extras: frozenset[str] = frozenset({""})) -> set[str]:
    """A package and all that it needs on this machine."""
    found.add(re.sub(r"[-_.]+", "-", name).lower())
    for line in requires(name) or ():
        one = Requirement(line)
        if one.marker is not None and not any(
            one.marker.evaluate({"extra": extra}) for extra in extras
        ):
            continue
        if re.sub(r"[-_.]+", "-", one.name).lower() in found:
            continue
        try:
            closure(one.name, found, frozenset({"", *one.extras}))
        except PackageNotFoundError as error:
            raise AssertionError(f"{name} needs {one}, which is not installed") from error
    return found


def test_the_core_install_has_at_most_twenty_packages() -> None:
    found = closure("tenuto", set())
    assert len(found) <= 20, sorted(found)
    assert not found & {
        "aiohttp",
        "azure-core",
        "pydantic",
        "fastapi",
        "asyncpg",
        "grpcio",
        "opentelemetry-sdk",
    }
