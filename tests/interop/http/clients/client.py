"""A client of the real package: calls come as lines of JSON, each is answered with one."""

import asyncio
import json
import sys
from datetime import datetime

import azure.durable_functions as df
import azure.functions as func


def read(value):
    if "$moment" in value:
        return datetime.fromisoformat(value["$moment"].replace("Z", "+00:00")).replace(tzinfo=None)
    if "$request" in value:
        return func.HttpRequest(method="POST", url=value["$request"], body=b"")
    if "$entity" in value:
        return df.EntityId(*value["$entity"])
    if "$statuses" in value:
        return [df.OrchestrationRuntimeStatus(one) for one in value["$statuses"]]
    return value


def shown(result):
    if isinstance(result, func.HttpResponse):
        body = result.get_body().decode()
        try:
            body = json.loads(body)
        except ValueError:
            pass
        return {"status": result.status_code, "headers": dict(result.headers), "body": body}
    if isinstance(result, list):
        return [shown(one) for one in result]
    if hasattr(result, "to_json"):
        return {**result.to_json(), "history": result.history} if result else None
    if hasattr(result, "entity_exists"):
        return {"entityExists": result.entity_exists, "entityState": result.entity_state}
    if hasattr(result, "instances_deleted"):
        return {"instancesDeleted": result.instances_deleted}
    return result


async def main():
    loop = asyncio.get_running_loop()
    client = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        said = json.loads(line, object_hook=read)
        try:
            if "binding" in said:
                client = df.DurableOrchestrationClient(said["binding"])
                result = json.loads(said["binding"])["taskHubName"]
            else:
                result = getattr(client, said["call"])(*said["arguments"], **said["options"])
                result = shown(await result if asyncio.iscoroutine(result) else result)
            answer = {"result": result}
        except Exception as error:
            answer = {"error": f"{error}"}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
