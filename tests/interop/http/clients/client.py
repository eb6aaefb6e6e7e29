"""A client of the real package: calls come as lines of JSON, each is answered with one."""

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func


def read(value: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if "$moment" in value:
        return datetime.fromisoformat(value["$moment"]).replace(tzinfo=None)
    if "$request" in value:
        return func.HttpRequest(method="POST", url=value["$request"], body=b"")
    if "$entity" in value:
        return df.EntityId(*value["$entity"])
    if "$statuses" in value:
        return [df.OrchestrationRuntimeStatus(one) for one in value["$statuses"]]
    return value


def shown(result: Any) -> Any:  # noqa: ANN401 - whatever the package gives
    if isinstance(result, func.HttpResponse):
        body = result.get_body().decode()
        if body[:1] == "{":
            body = json.loads(body)
        return {"status": result.status_code, "headers": dict(result.headers), "body": body}
    if isinstance(result, list):
        return [shown(one) for one in result]
    if hasattr(result, "to_json"):
        return {**result.to_json(), "history": result.history} if result else None
    if hasattr(result, "instances_deleted"):
        return {"instancesDeleted": result.instances_deleted}
    return result


async def main() -> None:
    loop = asyncio.get_running_loop()
    client: Any = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        said = json.loads(line, object_hook=read)
        answer: dict[str, Any]
        try:
            if "binding" in said:
                client = df.DurableOrchestrationClient(said["binding"])
                result = json.loads(said["binding"])["taskHubName"]
            else:
                result = getattr(client, said["call"])(*said["arguments"], **said["options"])
                result = shown(await result if asyncio.iscoroutine(result) else result)
            answer = {"result": result}
        except Exception as error:  # noqa: BLE001 - whatever the package raises is an answer
            answer = {"error": f"{error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


asyncio.run(main())
