"""The worker for JavaScript apps of Azure Functions: a program for the app's own Node.

Owns the files that run there: plain JavaScript without a dependency, which speaks the protocol of
``docs/worker-protocol.md`` and stands in for the module ``@azure/functions-core`` that the packages
of an app ask for. Nothing of it runs in the host's process, and nothing here knows how a worker is
started or watched.
"""

from pathlib import Path
from typing import Final

WORKER: Final = Path(__file__).with_name("worker.js")
"""What Node is started with; the file descriptor of the pipe comes as the last argument."""
