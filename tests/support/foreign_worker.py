"""A worker process of a foreign program: one request a line, one answer a line, 5 ms each.

It keeps nothing between requests: each has the whole history. Its one orchestrator, ``chain``,
calls as many activities one after the other as its input says.
"""

import json
import sys
import time

SECONDS = 0.005


def decide(events: list[dict[str, object]]) -> list[dict[str, object]]:
    (wanted,) = [int(str(one["input"])) for one in events if one["type"] == "ExecutionStarted"]
    done = [one["result"] for one in events if one["type"] == "TaskCompleted"]
    if len(done) < wanted:
        text = json.dumps(len(done))
        return [{"type": "TaskScheduled", "eventId": len(done), "name": "step", "input": text}]
    result = json.dumps([json.loads(str(one)) for one in done])
    return [{"type": "ExecutionCompleted", "orchestrationStatus": 1, "result": result}]


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        time.sleep(SECONDS)
        answer = {"id": request["id"], "actions": decide(request["events"])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
