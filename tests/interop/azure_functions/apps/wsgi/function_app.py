"""A web application of Flask, as one function."""

from collections.abc import Iterator

import azure.functions as func
from flask import Flask, Response, jsonify, request

web = Flask(__name__)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@web.route("/", methods=METHODS)
def root() -> Response:
    response = jsonify(
        method=request.method,
        url=request.url,
        query=list(request.args.items(multi=True)),
        cookies=request.cookies,
        body=request.get_data(as_text=True),
    )
    response.set_cookie("first", "1", httponly=True)
    response.set_cookie("second", "2", path="/deep")
    return response


@web.get("/deep/<name>/er")
def deep(name: str) -> Response:
    return jsonify(name=name, number=int(request.args.get("number", 0)))


@web.get("/pieces")
def pieces() -> Response:
    def made() -> Iterator[str]:
        for number in range(3):
            yield f"piece {number}\n"

    return Response(made(), mimetype="text/plain")


@web.get("/fails")
def fails() -> Response:
    raise RuntimeError("in the application")


app = func.WsgiFunctionApp(app=web.wsgi_app, http_auth_level=func.AuthLevel.ANONYMOUS)
