"""The ``tenuto`` command: each subcommand is loaded when it is called, so that help is quick.

Shows what the rooms below do and decides nothing itself. Where the drawing begins, no store, clock
or engine is known any more: a run becomes a model (``steps``), the model a picture (``drawing``).
"""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from tenuto.cli.command import run_command_line

    raise SystemExit(run_command_line())
