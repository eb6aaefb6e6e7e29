"""The matrix, with every call into the package written down.

After each turn a line of the log says how often the package was entered for it, how many events it
was given, and which tasks it holds to be open, by its own numbers.
"""

import json
import logging
import sys
from pathlib import Path

from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor

sys.path.append(str(Path(__file__).parents[1]))
matrix = __import__("matrix.function_app", fromlist=["app"])
app = matrix.app

entered = {"executed": 0, "processed": 0}


def count(name: str, key: str) -> None:
    original = getattr(TaskOrchestrationExecutor, name)

    def counted(self, *args):
        entered[key] += 1
        return original(self, *args)

    setattr(TaskOrchestrationExecutor, name, counted)


count("execute", "executed")
count("process_event", "processed")
say = TaskOrchestrationExecutor.get_orchestrator_state_str


def said(self):
    numbers = [number for number in self.context.open_tasks if isinstance(number, int)]
    logging.info("watched %s", json.dumps({**entered, "open": sorted(numbers)}))
    entered.update(executed=0, processed=0)
    return say(self)


TaskOrchestrationExecutor.get_orchestrator_state_str = said
