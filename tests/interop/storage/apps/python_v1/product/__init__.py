import json

import azure.functions as func


def main(req: func.HttpRequest, messageJSON) -> func.HttpResponse:
    message = json.loads(messageJSON)
    return func.HttpResponse(f"Table row: {message['Name']}")
