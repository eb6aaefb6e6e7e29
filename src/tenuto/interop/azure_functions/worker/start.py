"""Where the interpreter begins: ``python start.py DESCRIPTOR``.

The folder of this file is no place for the app's imports to look in, and names such as ``loading``
belong to the app. So the worker's modules are found under a name of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

NAME = "_tenuto_azure_functions_worker"


def main() -> int:
    folder = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == folder:
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(
        NAME, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    run = importlib.import_module(NAME + ".worker").run
    return int(run(int(sys.argv[-1])))


if __name__ == "__main__":
    sys.exit(main())
