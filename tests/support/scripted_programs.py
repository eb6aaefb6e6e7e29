"""Programs whose worker is ``scripted_worker``: real processes that can be made to do any harm."""

import os
import sys
from pathlib import Path

from tenuto.interop.azure_app.folder.app_folder import read_app_folder
from tenuto.interop.azure_app.program import AzureProgram, ProgramOptions
from tenuto.interop.workers.launching import Launch

WORKER = Path(__file__).with_name("scripted_worker.py")


def scripted_launch(folder: Path, **variables: str) -> Launch:
    """How a scripted worker is started."""
    return Launch(
        what="scripted worker",
        command=[sys.executable, "-S", str(WORKER)],
        environment={**os.environ, **variables},
        root=str(folder),
    )


def scripted_program(
    folder: Path,
    options: ProgramOptions | None = None,
    host_json: str = '{"version": "2.0"}',
    **variables: str,
) -> AzureProgram:
    """An app that is nothing but a scripted worker."""
    (folder / "host.json").write_text(host_json)
    (folder / "function_app.py").write_text("import azure.durable_functions\n")
    app = read_app_folder(folder, {**os.environ, "FUNCTIONS_WORKER_RUNTIME": "python"})
    return AzureProgram(app, scripted_launch(folder, **variables), options or ProgramOptions())
