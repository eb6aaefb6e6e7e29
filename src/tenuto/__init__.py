"""Plain Python functions that survive crashes and months of waiting.

One SQLite file; PostgreSQL when you grow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tenuto.api import *  # noqa: F403 - it lists its names
    from tenuto.api import __all__ as __all__
else:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load what programs use when the first name is asked for: the command needs none.

        All of it at once, so that no orchestrator ever loads a module within a turn.
        """
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        api, names = import_module("tenuto.api"), globals()
        names.update({one: getattr(api, one) for one in api.__all__}, __all__=api.__all__)
        if name not in names:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return names[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
