"""The command line as a whole: its top, its errors and its exit codes.

0: done; 1: failed, or the store refused; 2: the input is wrong and nothing was done; 130: Ctrl-C.
"""

import errno
import re
import sys

import click

from tenuto.cli.group import GuessingGroup, LazyCommand
from tenuto.cli.terminal import complain, note, nowhere, prepare_streams
from tenuto.model.control import CONTROLS
from tenuto.model.errors import (
    ConnectionFailedError,
    ForbiddenError,
    HttpError,
    InputError,
    InstanceError,
    LimitError,
    LinkError,
    TenutoError,
    UnauthorizedError,
)

KEY_VARIABLE = "TENUTO_HTTP_KEY"
FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130

_NOTHING_DONE = (
    InputError,
    LimitError,
    InstanceError,
    HttpError,
    ConnectionFailedError,
    LinkError,
)

_CONTROLS = "instances.steering:controls"
_HELP = {"help_option_names": ["-h", "--help"]}

instances: GuessingGroup = GuessingGroup(
    "instances",
    [
        LazyCommand("list", "instances.looking:list_", "List instances, newest first."),
        LazyCommand("show", "instances.looking:show", "Draw an instance: steps, times, errors."),
        LazyCommand("history", "instances.looking:history", "List every event of an instance."),
        LazyCommand("watch", "instances.watching:watch", "Follow an instance, or all of them."),
        LazyCommand("start", "instances.steering:start", "Start an orchestrator."),
        LazyCommand("raise-event", "instances.steering:raise_event", "Raise an external event."),
        LazyCommand("answer", "instances.answering:answer", "Answer what an instance asks."),
        LazyCommand("terminate", "instances.steering:terminate", "End an instance now."),
        *(LazyCommand(one.name, _CONTROLS, f"{one.summary}.", is_listed=True) for one in CONTROLS),
        LazyCommand("restart", "instances.steering:restart", "Run an instance again."),
        LazyCommand(
            "export", "instances.exporting:export", "Write histories as files.", takes_paths=True
        ),
        LazyCommand("purge", "instances.purging:purge", "Delete instances with their histories."),
    ],
    help="Look at instances and steer them, in a store or on a running host.",
    short_help="Look at instances and steer them.",
    context_settings=_HELP,
)
dead_letters: GuessingGroup = GuessingGroup(
    "dead-letters",
    [
        LazyCommand("list", "dead_letters:list_", "List them, newest first."),
        LazyCommand("redrive", "dead_letters:redrive", "Send them again."),
        LazyCommand("acknowledge", "dead_letters:acknowledge", "Say that they were seen to."),
        LazyCommand("purge", "dead_letters:purge", "Delete them."),
    ],
    help="Events and starts that came to nothing: read them, send them again, delete them.",
    short_help="Events and starts that came to nothing.",
    context_settings=_HELP,
)
queues: GuessingGroup = GuessingGroup(
    "queues",
    [
        LazyCommand("list", "queues:list_", "How many messages each has."),
        LazyCommand("peek", "queues:peek", "Show the next messages of one."),
        LazyCommand("send", "queues:send", "Put a message into one."),
        LazyCommand("failed", "queues:failed", "List messages that were put aside."),
        LazyCommand("redrive", "queues:redrive", "Give those back to their queue."),
        LazyCommand("drop", "queues:drop", "Delete those."),
        LazyCommand("purge", "queues:purge", "Delete messages that wait."),
    ],
    help="Queues: look at their messages, send some, give back or delete what has failed.",
    short_help="Queues and their messages.",
    context_settings=_HELP,
)
files: GuessingGroup = GuessingGroup(
    "files",
    [
        LazyCommand("failed", "files:failed", "List files that were put aside."),
        LazyCommand("redrive", "files:redrive", "Give such files to their function again."),
        LazyCommand("drop", "files:drop", "List such files no longer; they stay in their folder."),
    ],
    help="Files of folders that functions have failed for: list them, give them back.",
    short_help="Files that functions have failed for.",
    context_settings=_HELP,
)
topics: GuessingGroup = GuessingGroup(
    "topics",
    [
        LazyCommand("list", "topics:list_", "List topics and their subscriptions."),
        LazyCommand("show", "topics:show", "Show the newest events of a topic."),
        LazyCommand("publish", "topics:publish", "Publish an event."),
        LazyCommand("failed", "topics:failed", "List events that were put aside."),
        LazyCommand("redrive", "topics:redrive", "Give such events to their subscription again."),
        LazyCommand("drop", "topics:drop", "Delete what was put aside."),
        LazyCommand("remove", "topics:remove", "Forget a subscription."),
    ],
    help="Topics: what is published, how far subscriptions are, and what they have put aside.",
    short_help="Topics and their subscriptions.",
    context_settings=_HELP,
)
notifications: GuessingGroup = GuessingGroup(
    "notifications",
    [
        LazyCommand("list", "notifications:list_", "List targets, and how far each is."),
        LazyCommand("test", "notifications:test", "Send one to a target, from here."),
    ],
    help="Whom a host tells what becomes of instances: how far it is, and a test.",
    short_help="Whom a host tells what becomes of instances.",
    context_settings=_HELP,
)
links: GuessingGroup = GuessingGroup(
    "links",
    [
        LazyCommand("list", "links:list_", "List them: how far, what waits, what is wrong."),
        LazyCommand("add", "links:add", "Let a hub in that dials; gives its key."),
        LazyCommand("remove", "links:remove", "Remove one."),
    ],
    help="Links between this hub and others: who may dial, how far each is, what waits.",
    short_help="Links to other hubs.",
    context_settings=_HELP,
)
azure: GuessingGroup = GuessingGroup(
    "azure",
    [
        LazyCommand(
            "check", "azure.check:check", "What in an app is not supported.", takes_paths=True
        ),
        LazyCommand("mirror", "azure.mirror:mirror", "Show a store to Azure's own tools."),
        LazyCommand(
            "import",
            "azure.importing:import_",
            "Look at a stopped task hub of Azure Storage.",
            takes_paths=True,
        ),
    ],
    help="For apps written for Azure Functions, and for task hubs in Azure Storage.",
    short_help="For apps and task hubs of Azure Functions.",
    context_settings=_HELP,
)
tenuto: GuessingGroup = GuessingGroup(
    "tenuto",
    [
        LazyCommand(
            "start", "running.start:start", "Serve an app: HTTP API and triggers.", takes_paths=True
        ),
        LazyCommand(
            "serve-on-demand",
            "running.on_demand:serve_on_demand",
            "Serve an app whose process runs while it is used.",
            takes_paths=True,
        ),
        LazyCommand(
            "run", "running.run:run", "Run an orchestration and watch it.", takes_paths=True
        ),
        instances,
        queues,
        notifications,
        topics,
        files,
        LazyCommand("flow", "flow:flow", "Draw what has led to something, and what followed."),
        dead_letters,
        LazyCommand("link", "links:link", "Link this store to a hub, which it dials."),
        links,
        LazyCommand("usage", "usage:usage", "Show what functions have used up, and its price."),
        LazyCommand("hosts", "hosts:hosts", "List the hosts of a store, and what each serves."),
        LazyCommand(
            "doctor", "doctor:doctor", "Find out what is wrong, and what to do.", takes_paths=True
        ),
        LazyCommand("backup", "backup:backup", "Copy a store, beside its host.", takes_paths=True),
        LazyCommand("restore", "backup:restore", "Make a store out of a copy.", takes_paths=True),
        LazyCommand(
            "check-replay",
            "check_replay:check_replay",
            "Would all that is unfinished go on with this code?",
            takes_paths=True,
        ),
        LazyCommand(
            "config", "config:config", "Show the settings and their sources.", takes_paths=True
        ),
        LazyCommand(
            "deploy", "deploy:deploy", "Let a new version run on a server.", takes_paths=True
        ),
        LazyCommand("deployments", "deploy:deployments", "List versions on a server."),
        LazyCommand("rollback", "deploy:rollback", "Let an earlier version run again."),
        LazyCommand("new", "new:new", "Make a project that runs and has a test.", takes_paths=True),
        azure,
        LazyCommand("key", "key:key", "Make a key for callers of a server."),
        LazyCommand("completion", "completion:completion", "Complete words in a shell."),
    ],
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
        complain(_on_one_line(error.format_message()))
        if error.ctx is not None:
            note(f"see `{error.ctx.command_path} --help`")
        return WRONG_INPUT
    except click.ClickException as error:
        complain(_on_one_line(error.format_message()))
        return error.exit_code
    except TenutoError as error:
        complain(str(error), error.code)
        words = sys.argv[1:] if arguments is None else arguments
        if isinstance(error, UnauthorizedError | ForbiddenError) and words[:1] != ["link"]:
            note(f"give the key of the host by --key, or better in the variable {KEY_VARIABLE}")
        return WRONG_INPUT if isinstance(error, _NOTHING_DONE) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        if error.errno not in _CANNOT_BE_WRITTEN:
            raise
        sys.stdout = nowhere()  # what is left is not tried again at exit
        where = "" if error.filename is None else f" {error.filename!r}"
        complain(f"cannot write{where}: {error.strerror}")
        return FAILED
    return result if isinstance(result, int) else 0


_CANNOT_BE_WRITTEN: frozenset[int] = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""Output goes to a file on a full disk, or to a terminal that is gone."""


def _on_one_line(message: str) -> str:
    return re.sub(r"\s*\n\s*", " ", message)
