"""What orchestrators of this process run on, by the name that history records."""

import sys
from typing import Final

RUNTIME: Final = f"python {sys.version_info.major}.{sys.version_info.minor}"
"""Without the patch release: within a minor version orders stay (ENGINE rule 3)."""
