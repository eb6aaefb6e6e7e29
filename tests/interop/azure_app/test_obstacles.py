"""What would keep an app from being loaded is told without running it, and nothing else is."""

from pathlib import Path

import pytest

from tenuto.http.functions.route_templates import RouteTemplate
from tenuto.interop.azure_app.folder.checking import AppReport, check_app
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.model.errors import AppLoadError
from tests.interop.azure_app.folders import environment, node_app, node_packages, python_app
from tests.support.azure_programs import NODE

HEAD = "import azure.functions as func\n\napp = func.FunctionApp()\n\n"
HELLO = '@app.route(route="hello")\ndef hello(req): ...\n'


def check(root: Path) -> AppReport:
    variables = {"languageWorkers:node:defaultExecutablePath": str(NODE)}
    return check_app(root, variables, parse_route=RouteTemplate)


def wrong(report: AppReport) -> list[str]:
    return [
        f"{one.place}: {one.text}" if one.file else one.text
        for one in report.findings
        if one.level is Level.UNSUPPORTED
    ]


def javascript(folder: Path, **files: object) -> AppReport:
    node_packages(folder, functions="4.5.0", durable="3.1.0")
    return check(node_app(folder, **files))


def python(folder: Path, **files: object) -> AppReport:
    environment(folder / ".venv", azure_functions="1.26.0")
    return check(python_app(folder, **files))


# --- JavaScript ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [("a.js", "commonjs"), ("a.js", "module"), ("a.mjs", "commonjs")]
)
def test_a_syntax_error_in_javascript_is_found_with_its_line(
    tmp_path: Path, name: str, kind: str
) -> None:
    package = {
        "main": f"src/{name}",
        "type": kind,
        "dependencies": {"@azure/functions": "^4"},
    }
    source = "app.http('x', {\n  handler: () => (});\n"
    (found,) = wrong(javascript(tmp_path, **{"package.json": package, f"src/{name}": source}))
    assert found == f"src/{name}:2: not valid JavaScript: SyntaxError: Unexpected token '}}'"


def test_what_a_file_imports_is_looked_at_and_missed(tmp_path: Path) -> None:
    source = """
const { app } = require('@azure/functions');
const fs = require('fs'), os = require('node:os');
const orders = require('../orders');
const axios = require('axios');
const there = require('there');
// const gone = require('commented');
try { require('optional'); } catch {}
function later() {
  const it = require('later');
}
app.http('x', { handler: () => 1 });
"""
    files = {
        "src/functions/hello.js": source,
        "src/orders.js": "import('x');\nfunction (\n",
        "node_modules/there/package.json": {"exports": {"import": "./index.mjs"}},
        "node_modules/there/index.mjs": "",
    }
    assert wrong(javascript(tmp_path, **files)) == [
        "src/functions/hello.js:5: imports axios, which is not there",
        (
            "src/orders.js:2: not valid JavaScript: SyntaxError: "
            "Function statements require a function name"
        ),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import { x } from './gone.js';\napp.http('x', {});",
        "export * from './gone.js';\nimport fs from 'node:fs';\napp.http('x', {});",
        "import './gone.js';\napp.http('x', {});",
    ],
)
def test_imports_of_modules_are_missed_too(tmp_path: Path, source: str) -> None:
    package = {"main": "a.mjs", "dependencies": {"@azure/functions": "^4"}}
    (found,) = wrong(javascript(tmp_path, **{"package.json": package, "a.mjs": source}))
    assert found.endswith("imports ./gone.js, which is not there")


def test_a_javascript_app_that_registers_nothing_is_wrong(tmp_path: Path) -> None:
    source = "const { app } = require('@azure/functions');\nrequest.headers.get;\n"
    report = javascript(tmp_path, **{"src/functions/hello.js": source})
    assert wrong(report) == [
        "package.json: the app has no functions: nothing in its files registers one"
    ]


def test_functions_that_code_computes_may_be_there(tmp_path: Path) -> None:
    source = "for (const name of names) app.http(name, {});\n"
    report = javascript(tmp_path, **{"src/functions/hello.js": source})
    assert report.is_supported
    notes = [one.text for one in report.findings if one.level is Level.NOTE]
    assert "no function was found" in notes


def test_more_files_than_are_looked_at_are_said_to_be_there(tmp_path: Path) -> None:
    files = {f"src/functions/{number}.js": "" for number in range(60)}
    report = javascript(tmp_path, **files)
    assert report.is_supported
    notes = [one.text for one in report.findings if one.level is Level.NOTE]
    assert "the app has more than 50 files of its own" in notes


def test_a_main_that_node_does_not_understand_is_told(tmp_path: Path) -> None:
    package = {"main": "src/{a,b}!(c)*.js", "dependencies": {"@azure/functions": "^4"}}
    report = javascript(tmp_path, **{"package.json": package, "src/a!(c).js": ""})
    assert len(wrong(report)) == 1
    assert "forms such as !(…) and @(…) are not understood" in wrong(report)[0]


# --- Python -------------------------------------------------------------------------------------


def test_an_app_that_makes_no_function_app_is_wrong(tmp_path: Path) -> None:
    source = "import logging\nimport azure.functions as func\n\ndef main(req): ...\n"
    assert wrong(python(tmp_path, **{"function_app.py": source})) == [
        (
            "function_app.py: has no app: it needs one FunctionApp (or DFApp, AsgiFunctionApp, "
            "WsgiFunctionApp)"
        )
    ]


def test_a_python_app_that_registers_nothing_is_wrong(tmp_path: Path) -> None:
    assert wrong(python(tmp_path, **{"function_app.py": HEAD})) == [
        "function_app.py: has no functions: nothing in it or in what it imports registers one"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import azure.functions as func\napp = func.AsgiFunctionApp(app=web)\n",
        "from shared import app\n",
        "from shared.more import *\n",
        "import importlib\napp = importlib.import_module(name).app\n",
        HEAD + "app.register_functions(blueprint)\n",
        HEAD + "for name in names:\n    app.route(route=name)(make(name))\n",
    ],
)
def test_an_app_may_be_made_elsewhere_or_otherwise(tmp_path: Path, source: str) -> None:
    files = {
        "function_app.py": source,
        "shared/__init__.py": HEAD + HELLO,
        "shared/more.py": "import os.path",
    }
    report = python(tmp_path, **files)
    assert wrong(report) == []


def test_an_app_may_come_from_a_package(tmp_path: Path) -> None:
    files = {
        "function_app.py": "from company import app\n",
        ".python_packages/lib/site-packages/company.py": "",
    }
    assert wrong(python(tmp_path, **files)) == []


def test_modules_that_are_missing_or_no_python_are_told(tmp_path: Path) -> None:
    source = f"""
import logging, os.path, requests
from azure import durable_functions
import azure.durable_functions as df
from orders import book
from parcels.depot import *
from own.gone import x
if later:
    import optional_one
try:
    import optional_two
except ImportError:
    pass
{HEAD}{HELLO}
def late():
    import optional_three
"""
    files = {
        "function_app.py": source,
        "orders.py": "from . import parcels\nfrom .... import outside\ndef (\n",
        "parcels/__init__.py": "",
        "parcels/depot.py": "from . import van\nfrom .van import wheel\nimport numpy.linalg\n",
        "parcels/van.py": "x = = 1",
        "own/here.py": "",
    }
    found = wrong(python(tmp_path, **files))
    assert found[:2] == [
        "orders.py:3: not valid Python: invalid syntax",
        "parcels/van.py:1: not valid Python: invalid syntax",
    ]
    missing = [one.partition(", which ")[0] for one in found[2:]]
    assert (
        missing
        == [
            "function_app.py:2: imports requests",
            "function_app.py:3: imports azure.durable_functions",
            "function_app.py:7: imports own.gone",
            "parcels/depot.py:3: imports numpy",
        ]
        or missing[-1] == "parcels/depot.py:3: imports numpy.linalg"
    )


def test_a_parameter_that_no_binding_fills_is_told(tmp_path: Path) -> None:
    source = f"""{HEAD}
@app.route(route="a")
def a(req, name): ...

@app.route("b", "request")
def b(request): ...

@app.function_name("see")
@app.route(route="c", trigger_arg_name="r")
@app.durable_client_input(client_name="client")
async def c(r, client, context, more=1, *, key, other=2, **rest): ...

@app.timer_trigger("timer", "0 0 * * * *")
def d(t): ...

@app.activity_trigger(input_name="x")
def e(x, y, z=1): ...

@app.orchestration_trigger(context_name="context")
def f(ctx): ...

@app.activity_trigger(input_name=NAME)
def g(x): ...

@mine
@app.route(route="h")
def h(whatever): ...

@app.durable_client_input(client_name="client")
def i(not_triggered): ...
"""
    assert wrong(python(tmp_path, **{"function_app.py": source})) == [
        "function_app.py:6: function 'a' has the parameter 'name' without a binding",
        "function_app.py:12: function 'c' has the parameter 'key' without a binding",
        "function_app.py:17: function 'd' has the parameter 't' without a binding",
        "function_app.py:20: function 'e' has the parameter 'y' without a binding",
        "function_app.py:33: function 'i' has no trigger",
    ]


# --- both ---------------------------------------------------------------------------------------


def test_a_route_that_cannot_be_read_is_told_in_both_languages(tmp_path: Path) -> None:
    local = {"Values": {"Route": "x/{y"}}
    source = HEAD + "\n".join(
        f'@app.route(route="{route}")\ndef f{number}(req): ...\n'
        for number, route in enumerate(["a/{id", "b/{id:int}", "%Route%", "%Gone%"])
    )
    found = wrong(python(tmp_path / "py", **{"function_app.py": source, "local": local}))
    assert [one.partition(": ")[2] for one in found] == [
        (
            "function 'f3' has the setting 'Gone' as route of its binding httpTrigger, "
            "which is not there or empty"
        ),
        "function 'f0' cannot be served: its route 'a/{id' has a brace that is not closed",
        "function 'f2' cannot be served: the setting in '%Route%' makes no route",
    ]
    text = """
app.http('a', { route: 'a/{id', handler });
app.get('b', { handler });
app.http('c', { route: `x/${computed}` });
app.post('d', { route: "d/{*rest}" });
"""
    found = wrong(javascript(tmp_path / "js", **{"src/functions/hello.js": text}))
    assert found == [
        (
            "src/functions/hello.js:2: function 'a' cannot be served: "
            "its route 'a/{id' has a brace that is not closed"
        )
    ]


def test_an_app_without_any_function_json_left_over_is_wrong(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    files = {
        "book/function.json": {"disabled": True, "bindings": []},
        "book/__init__.py": "",
    }
    root = python_app(tmp_path, **files)
    (root / "function_app.py").unlink()
    report = check(root)
    assert "no function was found" in wrong(report)


def test_an_interpreter_that_does_not_answer_leaves_a_note(tmp_path: Path) -> None:
    node_packages(tmp_path, functions="4.5.0", durable="3.1.0")
    root = node_app(tmp_path)
    node = tmp_path / "node"
    node.write_text(
        '#!/bin/sh\ncase "$1" in -e) echo \'{"version": "22.0.0"}\';; *) exit 3;; esac\n'
    )
    node.chmod(0o755)
    report = check_app(root, {"languageWorkers:node:defaultExecutablePath": str(node)})
    assert report.is_supported
    notes = [one.text for one in report.findings if one.level is Level.NOTE]
    assert any("it ended with exit code 3" in one for one in notes)


def test_an_app_in_a_folder_of_another_is_none_of_its_own(tmp_path: Path) -> None:
    other = {"other/host.json": {"version": "2.0"}, "other/function_app.py": HEAD + HELLO}
    report = python(tmp_path, **{"function_app.py": HEAD + HELLO, **other})
    assert wrong(report) == []
    assert len(report.functions) == 1


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("src/" + "{a,b}" * 22, "make more than 1,000 patterns of it"),
        ("src/" + "{a}" * 400, "is longer than 1,000 characters"),
    ],
)
def test_a_main_that_means_more_than_anybody_writes_is_refused(
    tmp_path: Path, main: str, words: str
) -> None:
    package = {"main": main, "dependencies": {"@azure/functions": "^4"}}
    with pytest.raises(AppLoadError, match=words):
        javascript(tmp_path, **{"package.json": package})


def test_braces_are_taken_apart(tmp_path: Path) -> None:
    package = {"main": "src/{a,b{1,2},{c}}/**/**/*.js", "dependencies": {"@azure/functions": "^4"}}
    names = ["src/a/x.js", "src/b2/y/z.js", "src/c/c.js", "src/d/no.js"]
    text = "app.http('{name}', { handler });"
    files = {name: text.replace("{name}", name) for name in names}
    report = javascript(tmp_path, **{"package.json": package, **files})
    assert [one.name for one in report.functions] == names[:3]


def test_a_script_that_is_no_python_is_told_once(tmp_path: Path) -> None:
    assert wrong(python(tmp_path, **{"function_app.py": "import logging\ndef (\n"})) == [
        "function_app.py:2: not valid Python: invalid syntax"
    ]


def test_modules_that_import_each_other_are_looked_at_once(tmp_path: Path) -> None:
    files = {
        "function_app.py": f"import one\n{HEAD}{HELLO}",
        "one.py": "import two\nfrom .. import outside\n",
        "two.py": "import one\nimport gone\n",
    }
    (found,) = wrong(python(tmp_path, **files))
    assert found.startswith("two.py:2: imports gone, which ")
