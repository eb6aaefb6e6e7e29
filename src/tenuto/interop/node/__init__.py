"""The worker for JavaScript apps of Azure Functions: a program for the app's own Node.

Owns the files that run there: plain JavaScript without a dependency, which speaks the protocol of
``docs/worker-protocol.md`` and stands in for the module ``@azure/functions-core`` that the packages
of an app ask for. Nothing of it runs in the host's process, and nothing here knows how a worker is
started or watched.

``worker.js`` is the entry, ``main.js`` the worker, ``guardian.js`` ends both without a host.
``loading.js`` makes an app of a folder, with ``manifest.js`` and ``globs.js`` for its files and
``reasons.js`` for what is wrong with it; ``checking.js`` tells what it can without loading it.
``app.js``, ``hooks.js`` and ``logs.js`` are what packages reach; ``invocations.js`` runs one
function, ``turns.js`` one turn, by the package's executor that ``executors.js`` keeps.

What it does where Azure leaves a choice, or has none:

- A rejected promise that nobody waits for is logged, and the worker lives; an exception that nobody
  catches ends it. Interrupts (Ctrl-C) are left to the host.
- Hooks run around each turn as around any invocation; in a compared turn, around the plain call.
- What stands before the last start of a turn is replay, whatever ``IsPlayed`` says.
- A log line of an orchestrator comes once, and not again with each turn, while its executor stays.
- Repeated names in a query are all there; repeated headers are joined.
"""

from pathlib import Path
from typing import Final

CHECKING: Final = Path(__file__).with_name("checking.js")
"""Tells of an app's files what can be told without running them; the argument is its folder."""

WORKER: Final = Path(__file__).with_name("worker.js")
"""What Node is started with; the file descriptor of the pipe comes as the last argument."""
