"""``tenuto run``: checks what was asked for, then runs it.

Whatever can be found wrong without the store is refused before there is one (promise
``bad_input_is_refused_whole``).
"""

import contextlib
import sys

import click
from msgspec import structs

from tenuto.cli.arguments import json_text, target_completion
from tenuto.cli.nearby import drop_old_notes
from tenuto.cli.picture.view import view_for
from tenuto.cli.running.execution import Order, execute
from tenuto.cli.running.logs import route_logs
from tenuto.host.loading import LoadedApp, load_app
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.host.settings import DEFAULT, LoadedSettings, load_settings
from tenuto.model.errors import AppLoadError
from tenuto.model.ids import check_instance_id
from tenuto.model.shown_urls import shown_url
from tenuto.orchestration.references import AnyOrchestrator
from tenuto.storage import upkeep_of


@click.command(short_help="Run an orchestration and watch it.")
@click.argument("target", shell_complete=target_completion)
@click.option(
    "--input",
    "text",
    callback=json_text,
    metavar="JSON|@FILE",
    help="The input: JSON, or @file, or @- for standard input.",
)
@click.option("--id", "instance_id", help="The instance's id; one that exists is attached to.")
@click.option("--storage", help="Storage URL, such as sqlite:///travel.db.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on with a copy although its original's host had not stopped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
@click.pass_context
def run(
    context: click.Context,
    target: str,
    text: str | None,
    instance_id: str | None,
    storage: str | None,
    *,
    accept_loss: bool,
    as_json: bool,
) -> int:
    """Run an orchestration and watch it until it ends.

    TARGET is a file or module with the orchestrator's name: travel.py:book_trip, or
    pkg.module:book_trip. The exit code is 0 when it completed, 1 when it failed, was
    terminated or is held, 2 when the input is wrong, 130 after Ctrl-C.

    An instance that was stopped, or whose process was killed, goes on where it was when run again
    with the same --id. When another host owns the store, an instance that is there is watched.
    """
    output = sys.stdout
    with contextlib.ExitStack() as stack:
        if as_json:
            # What user code prints must not get into the document.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        loaded = load_app(target)
        route_logs()
        orchestrator = loaded.orchestrator or _only_one(loaded, target)
        checked = None if instance_id is None else check_instance_id(instance_id)
        if text is not None or instance_id is None:
            orchestrator.signature.decode_arguments(text)
        settings = _settings(storage)
        if accept_loss:
            upkeep_of(settings.values.storage).accept_loss()
        order = Order(
            app=loaded.app,
            orchestrator=orchestrator,
            input=text,
            instance_id=checked,
            settings=settings,
            resume=_resume_command(context, target, storage),
        )
        drop_old_notes()
        return run_on_fast_loop(execute(order, view_for(json=as_json, output=output)))


def _settings(storage: str | None) -> LoadedSettings:
    loaded = load_settings(storage=storage, given_as="option --{}")
    if loaded.sources["guard_every"] != DEFAULT:
        return loaded
    # A person looks at this run, so the guard looks at every turn (ENGINE rule 8).
    watched = structs.replace(loaded.values, guard_every=1)
    return structs.replace(loaded, values=watched)


def _resume_command(context: click.Context, target: str, storage: str | None) -> tuple[str, ...]:
    chosen = () if storage is None else ("--storage", shown_url(storage))
    return (*context.command_path.split(" "), target, *chosen)


def _only_one(loaded: LoadedApp, target: str) -> AnyOrchestrator:
    orchestrators = list(loaded.app.orchestrators.values())
    if len(orchestrators) == 1:
        return orchestrators[0]
    if not orchestrators:
        raise AppLoadError(f"{target} has no orchestrator to run; one is made by @app.orchestrator")
    names = ", ".join(loaded.app.orchestrators)
    raise AppLoadError(f"which orchestrator of {target}? name it behind a colon; it has: {names}")
