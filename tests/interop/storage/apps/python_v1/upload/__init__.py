import json

import azure.functions as func


def main(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    message.set(json.dumps({"Name": "Output binding message", "RowKey": req.params["id"]}))
    return func.HttpResponse("created")
