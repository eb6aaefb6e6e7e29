"""The ``tenuto`` command: each subcommand is loaded when it is called, so that help is quick.

Shows what the rooms below do and decides nothing itself. Where the drawing begins, no store, clock
or engine is known any more: a run becomes a model (``steps``), the model a picture (``drawing``).
"""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from tenuto.cli.command import run_command_line

    code = run_command_line()
    if "tenuto.host.own_loop" in sys.modules:  # a host may have run here, with the code of users
        from tenuto.host.own_loop import end_in_time

        end_in_time(code)
    raise SystemExit(code)
