"""The Program port for functions of this process: an app, as those see it who know of no app.

Owns what the functions of a registry look like from outside: their parameters as JSON schemas, what
their input may be. Runs nothing itself; it makes the runner that does.
"""

import typing
from collections.abc import Collection, Sequence
from inspect import Parameter
from typing import Final

from tenuto.engine.ports import Runner
from tenuto.engine.program import (
    FunctionDescription,
    HttpFunction,
    Orchestrator,
    ParameterDescription,
    ProgramDescription,
    RunnerMeans,
    Served,
    TimerFunction,
    TriggeredFunction,
)
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import NativeRunner, RunnerOptions
from tenuto.functions.schemas import schema_of
from tenuto.model.signature import Signature

NATIVE: Final = "native"


class NativeProgram:
    """The functions of a registry.

    Args:
        registry: The functions; those that are registered later count as well.
        options: What their runner may use.
    """

    def __init__(self, registry: FunctionRegistry, options: RunnerOptions | None = None) -> None:
        self._registry = registry
        self._options = options

    @property
    def kind(self) -> str:
        """That of functions of this process."""
        return NATIVE

    @property
    def version(self) -> str:
        """What the app says; empty when it says nothing."""
        return self._registry.version

    @property
    def orchestrators(self) -> Collection[str]:
        """Names of the orchestrators, in the order of registration."""
        return self._registry.orchestrators.keys()

    @property
    def activities(self) -> Collection[str]:
        """Names of the activities, in the order of registration."""
        return self._registry.activities.keys()

    def serves(self, name: str) -> Served:
        """Here, or never: nobody else has functions of this process."""
        return Served.HERE if name in self._registry.orchestrators else Served.NEVER

    def get_orchestrator(self, name: str) -> Orchestrator:
        """The orchestrator of that name.

        Raises:
            UnknownFunctionError: listing what there is.
        """
        return self._registry.get_orchestrator(name)

    def check_input(self, name: str, text: str | None) -> None:
        """See that the text fits the parameters of an orchestrator.

        Raises:
            UnknownFunctionError: listing what there is.
            PayloadError: it does not fit; names function and parameter.
        """
        self._registry.get_orchestrator(name).signature.decode_arguments(text)

    @property
    def descriptions(self) -> Sequence[ProgramDescription]:
        """The functions with their parameters."""
        registry = self._registry
        return [
            ProgramDescription(
                kind=NATIVE,
                orchestrators=[
                    FunctionDescription(
                        name=one.name, parameters=_parameters(one.signature), version=one.version
                    )
                    for one in registry.orchestrators.values()
                ],
                activities=[
                    FunctionDescription(name=one.name, parameters=_parameters(one.signature))
                    for one in registry.activities.values()
                ],
            )
        ]

    @property
    def warnings(self) -> Sequence[str]:
        """What looks wrong in the code of orchestrators."""
        return self._registry.warnings

    @property
    def http_functions(self) -> Sequence[HttpFunction]:
        """None: those of an app are its own (``@app.http``)."""
        return ()

    @property
    def timers(self) -> Sequence[TimerFunction]:
        """Those of ``@app.timer``, in the order of registration."""
        return list(self._registry.timers.values())

    @property
    def triggered(self) -> Sequence[TriggeredFunction]:
        """Those of ``@app.queue``, ``@app.subscribe`` and others, in the order of registration."""
        return list(self._registry.triggered.values())

    def check(self) -> None:
        """See that what the functions take and give can be stored, and that worker processes will
        find the activities that are to run in them.

        Raises:
            RegistrationError: naming function, file and line.
        """
        self._registry.check_signatures()
        self._registry.check_places()

    def make_runner(self, means: RunnerMeans) -> Runner:
        """Runs orchestrators on the host's loop; activities there, in threads, in processes."""
        return NativeRunner(
            self._registry,
            means.clock,
            limits=means.limits,
            options=self._options,
            webhook_base=means.webhook_base,
            webhook_secret=means.webhook_secret,
        )


def _parameters(signature: Signature) -> list[ParameterDescription]:
    try:
        types = typing.get_type_hints(signature.function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a type that exists for checkers only
        types = {}
    return [
        ParameterDescription(
            name=one.name,
            required=one.default is Parameter.empty,
            schema=schema_of(types.get(one.name)),
        )
        for one in signature.parameters
    ]
