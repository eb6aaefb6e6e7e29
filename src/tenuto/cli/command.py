"""The command line as a whole: its top, its errors and its exit codes.

0: done; 1: failed, or the store refused; 2: the input is wrong and nothing was done; 130: Ctrl-C.
"""

import click

from tenuto.cli.group import GuessingGroup, LazyCommand
from tenuto.cli.terminal import complain, note, prepare_streams
from tenuto.model.errors import InputError, LimitError, TenutoError

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130

_HELP = {"help_option_names": ["-h", "--help"]}

instances: GuessingGroup = GuessingGroup(
    "instances",
    [
        LazyCommand("list", "tenuto.cli.instances:list_", "List instances, newest first."),
        LazyCommand("show", "tenuto.cli.instances:show", "Draw an instance: steps, times, errors."),
        LazyCommand("history", "tenuto.cli.instances:history", "List every event of an instance."),
    ],
    help="Look at the instances in a store, also while a host runs on it.",
    context_settings=_HELP,
)
tenuto: GuessingGroup = GuessingGroup(
    "tenuto",
    [LazyCommand("run", "tenuto.cli.run:run", "Run an orchestration and watch it."), instances],
    help="Durable functions for Python: run orchestrations and look at them.",
    context_settings=_HELP,
)
tenuto = click.version_option(package_name="tenuto", message="tenuto %(version)s")(tenuto)


def run_command_line(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What follows the program's name; that of this process by default.

    Returns:
        The exit code.
    """
    prepare_streams()
    try:
        result = tenuto.main(arguments, standalone_mode=False)
    except click.UsageError as error:
        complain(error.format_message())
        if error.ctx is not None:
            note(f"see `{error.ctx.command_path} --help`")
        return WRONG_INPUT
    except click.ClickException as error:
        complain(error.format_message())
        return error.exit_code
    except TenutoError as error:
        complain(str(error), error.code)
        return WRONG_INPUT if isinstance(error, InputError | LimitError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else 0
