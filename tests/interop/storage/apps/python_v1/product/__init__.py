import json

import azure.functions as func


def main(req: func.HttpRequest, messageJSON) -> func.HttpResponse:  # noqa: N803 - as the documentation has it
    message = json.loads(messageJSON)
    return func.HttpResponse(f"Table row: {message['Name']}")
