"""Which apps a worker loads, and what it says of those that it cannot."""

import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from tenuto.interop.workers.protocol import Loaded, Refused
from tests.interop.node.node_worker import (
    NODE,
    PACKAGES,
    loaded_worker,
    new_worker,
    with_packages,
    written_app,
)

FUNCTION = """\
const {{ app }} = require('@azure/functions');
app.http('{0}', {{ handler: () => ({{ body: '{0}' }}) }});
"""
MODULE = """\
import {{ app }} from '@azure/functions';
app.http('{0}', {{ handler: () => ({{ body: '{0}' }}) }});
"""


VERSION = (
    subprocess.run([NODE, "--version"], check=True, capture_output=True, text=True)
    .stdout.strip()
    .removeprefix("v")
)


NO_TIMERS = (
    f"durable-functions 3.3.0 cannot create timers on Node {VERSION}: install 3.3.1 or newer, or "
    "run the app with Node 22."
)


def manifest(main: str | None = "src/functions/*.js", **members: object) -> str:
    return json.dumps({"name": "app", **({} if main is None else {"main": main}), **members})


def loaded(folder: Path, files: dict[str, str]) -> Loaded:
    with loaded_worker(with_packages(written_app(folder, files))) as (_, answer):
        return answer


def refused(folder: Path, files: dict[str, str], *, has_packages: bool = True) -> Refused:
    written_app(folder, files)
    if has_packages:
        with_packages(folder)
    with new_worker() as worker:
        answer = worker.load(folder)
        assert isinstance(answer, Refused), answer
        code, _, err = worker.end()
    assert (code, err) == (1, "")
    return answer


def names(answer: Loaded) -> list[str]:
    return [one.name for one in answer.functions]


@pytest.mark.parametrize(
    ("main", "found"),
    [
        ("src/functions/*.js", ["b", "a"]),
        ("src/{functions,extra}/**/*.js", ["c", "b", "a"]),
        ("./src/functions/a.js", ["a"]),
        ("src/functions/a", ["a"]),
        ("src/functions/?.js", ["a"]),
        ("src/functions/[a-z].js", ["a"]),
        ("src/functions/[!a-z]*.js", ["b"]),
        ("src/functions/{1..2}b.js", ["b"]),
        ("src/functions/{2..1}{b,}.js", ["b"]),
        ("src/{functions/{a,none},extra/deep/c}.js", ["c", "a"]),
        ("src/extra", ["c"]),
        ("**/*.js", ["c", "b", "a"]),
        ("src/**/{functions,none}/\\a.js", ["a"]),
    ],
)
def test_main_names_files_as_a_path_or_a_pattern_in_sorted_order(
    tmp_path: Path, main: str, found: list[str]
) -> None:
    files = {
        "package.json": manifest(main),
        "src/functions/a.js": FUNCTION.format("a"),
        "src/functions/1b.js": FUNCTION.format("b"),
        "src/functions/.hidden.js": FUNCTION.format("hidden"),
        "src/extra/deep/c.js": FUNCTION.format("c"),
        "src/functions/notes.txt": "no code",
    }

    assert names(loaded(tmp_path, files)) == found


@pytest.mark.parametrize(
    ("file", "text", "members"),
    [
        ("src/functions/a.mjs", MODULE, {}),
        ("src/functions/a.js", MODULE, {"type": "module"}),
        ("src/functions/a.cjs", FUNCTION, {"type": "module"}),
        ("src/functions/a.js", "await null;\n" + MODULE, {"type": "module"}),
        ("dist/src/functions/a.js", FUNCTION, {"scripts": {"build": "tsc"}}),
    ],
)
def test_both_kinds_of_modules_are_loaded(
    tmp_path: Path, file: str, text: str, members: dict[str, object]
) -> None:
    main = file.replace("/a.", "/*.")

    answer = loaded(tmp_path, {"package.json": manifest(main, **members), file: text.format("a")})

    assert names(answer) == ["a"]
    assert answer.functions[0].file == file
    assert (
        answer.functions[0].line
        == text.format("a").splitlines().index("app.http('a', { handler: () => ({ body: 'a' }) });")
        + 1
    )


def test_folders_may_be_links_or_lie_elsewhere(tmp_path: Path) -> None:
    files = {
        "elsewhere/one.js": FUNCTION.format("one"),
        "app/package.json": manifest("{../elsewhere,linked}/*.js"),
        "linked/two.js": FUNCTION.format("two"),
        "app/node_modules/skipped/three.js": FUNCTION.format("three"),
    }
    written_app(with_packages(tmp_path), files)
    app = tmp_path / "app"
    (app / "linked").symlink_to(tmp_path / "linked")

    with loaded_worker(app) as (_, answer):
        assert [(one.name, one.file) for one in answer.functions] == [
            ("one", None),
            ("two", None),
        ]


def test_the_nearest_manifest_says_what_kind_of_module_a_file_is(tmp_path: Path) -> None:
    files = {
        "package.json": manifest("dist/*.js", type="module"),
        "dist/package.json": '{"type": "commonjs"}',
        "dist/a.js": FUNCTION.format("a"),
    }

    assert names(loaded(tmp_path, files)) == ["a"]


def test_facts_of_functions_are_those_of_function_json(tmp_path: Path) -> None:
    app = """\
    const { app, input, output } = require('@azure/functions');
    app.timer('tick', {
        schedule: '0 */5 * * * *',
        retry: { strategy: 'fixedDelay', maxRetryCount: 3,
            delayInterval: { hours: 30, seconds: 5 } },
        handler: () => {},
    });
    app.storageQueue('queued', {
        queueName: 'in', connection: 'Store',
        extraInputs: [input.generic({ type: 'table', name: 'rows' })],
        return: output.storageQueue({ queueName: 'out', connection: 'Store' }),
        handler: () => 'x',
    });
    """
    files = {"package.json": manifest("a.js"), "a.js": textwrap.dedent(app)}

    answer = loaded(tmp_path, files)
    tick, queued = answer.functions

    assert answer.packages == {"@azure/functions": "4.16.5", "durable-functions": "3.5.0"}
    assert answer.notes == []
    assert tick.trigger["schedule"] == "0 */5 * * * *"
    assert tick.retry == {
        "strategy": "fixedDelay",
        "maxRetryCount": 3,
        "delayInterval": "1.06:00:05",
    }
    assert (tick.file, tick.line) == ("a.js", 2)
    assert queued.retry is None
    assert [(one["name"], one["type"], one["direction"]) for one in queued.bindings] == [
        (queued.trigger["name"], "queueTrigger", "in"),
        ("rows", "table", "in"),
        ("$return", "queue", "out"),
    ]


def test_an_app_that_streams_says_where(tmp_path: Path) -> None:
    app = """\
    const { app } = require('@azure/functions');
    app.setup({ enableHttpStream: true, capabilities: { Own: true } });
    app.http('a', { handler: () => ({}) });
    """
    files = {"package.json": manifest("a.js"), "a.js": textwrap.dedent(app)}

    answer = loaded(tmp_path, files)

    assert answer.http_uri is not None
    assert answer.http_uri.startswith("http://")
    assert answer.capabilities == {"Own": "true"}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with new_worker() as worker:
        answer = worker.load(tmp_path / "gone")
        worker.end()

    assert isinstance(answer, Refused)
    assert answer.message == f"There is no folder {tmp_path / 'gone'}."


@pytest.mark.parametrize(
    ("files", "said", "file", "line"),
    [
        ({}, "There is no package.json in", "package.json", None),
        (
            {"package.json": '{\n  "main": "a.js",\n}'},
            "package.json is not JSON",
            "package.json",
            3,
        ),
        ({"package.json": manifest(None)}, 'package.json has no "main"', "package.json", None),
        (
            {"package.json": manifest("src/*.js")},
            '"main" in package.json is "src/*.js", and no such file is there.',
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("{src/a.js"), "src/a.js": ""},
            '"main" in package.json is "{src/a.js", and no such file is there.',
            "package.json",
            None,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": "\nthrow Object.assign(new Error('own'), { code: 'MODULE_NOT_FOUND' });",
            },
            "Loading a.js failed with Error: own",
            "a.js",
            2,
        ),
        (
            {
                "package.json": manifest("a.mjs"),
                "a.mjs": "import { createRequire } from 'node:module';\n"
                "createRequire(import.meta.url)('@azure/functions-core').registerFunction({});",
            },
            "Loading a.mjs failed with SystemError: A function needs a name.",
            "a.mjs",
            2,
        ),
        (
            {"package.json": manifest("src/!(a).js")},
            "forms such as !(…) and @(…) are not understood",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("{a,b}" * 22)},
            "its braces make more than 1000 patterns of it",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("a{1..999999999}.js")},
            "its braces make more than 1000 patterns of it",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("{" * 2000)},
            "it is longer than 1000 characters",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("dist/*.js"), "tsconfig.json": "{}"},
            "This app must be built first: run npm install, then npm run build.",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("src/**"), "src/types.d.ts": "export {};"},
            "This app must be built first: run npm install, then npm run build.",
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "const one = 1;\nconst two = ;\n"},
            "A syntax error in a.js: Unexpected token ';'.",
            "a.js",
            2,
        ),
        (
            {
                "package.json": manifest("a.mjs"),
                "a.mjs": "import './b.mjs';",
                "b.mjs": "\nlet = 1 1",
            },
            "A syntax error in b.mjs: ",
            "b.mjs",
            2,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": "require('./b');",
                "b.js": "\nthrow new RangeError('no luck');",
            },
            "Loading a.js failed with RangeError: no luck",
            "b.js",
            2,
        ),
        (
            {"package.json": manifest("a.mjs"), "a.mjs": "\n\nnull.length;"},
            "Loading a.mjs failed with TypeError: Cannot read properties of null",
            "a.mjs",
            3,
        ),
        (
            {"package.json": manifest("{src}/[a.js"), "src/a.js": ""},
            '"main" in package.json is "{src}/[a.js", and no such file is there.',
            "package.json",
            None,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "\nrequire('axios/not/exported');"},
            "Loading a.js failed with Error: Package subpath './not/exported' is not defined",
            "a.js",
            2,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "throw null;"},
            "Loading a.js failed with object: null",
            "a.js",
            None,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "\n\nJSON.parse('{');"},
            "Loading a.js failed with SyntaxError: ",
            "a.js",
            3,
        ),
        (
            {"package.json": manifest("a.mjs"), "a.mjs": "\n\nJSON.parse('{');"},
            "Loading a.mjs failed with SyntaxError: ",
            "a.mjs",
            3,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "\nprocess.exit(3);"},
            "The app ends its process by process.exit(3) while it is loaded.",
            "a.js",
            2,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "try {\n process.exit() } catch {}"},
            "The app ends its process by process.exit() while it is loaded.",
            "a.js",
            2,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": FUNCTION.format("a") + "app.hook.appStart(() => {\n  process.exit(0);\n});",
            },
            "The app ends its process by process.exit(0) while it is loaded.",
            "a.js",
            4,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "throw 'a text';"},
            "Loading a.js failed with String: a text",
            "a.js",
            None,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "const a = 1;\nrequire('left-pad/x');"},
            "a.js needs the package left-pad/x, which is not there. Run npm install; if that does",
            "a.js",
            2,
        ),
        (
            {"package.json": manifest("a.mjs"), "a.mjs": "\nimport '@scope/pad/x';"},
            "if that does not bring it, npm install @scope/pad.",
            "a.mjs",
            2,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "\nrequire('./gone');"},
            "a.js asks for the file ./gone, and there is none.",
            "a.js",
            2,
        ),
        (
            {"package.json": manifest("a.mjs"), "a.mjs": "import './gone.mjs';"},
            "a.mjs asks for the file gone.mjs, and there is none.",
            "a.mjs",
            None,
        ),
        (
            {"package.json": manifest("a.js"), "a.js": "const one = 1;"},
            "The app registers no functions. Register at least one, such as app.http(...)",
            "package.json",
            None,
        ),
        (
            {
                "package.json": manifest("{a,b}.js"),
                "a.js": "\n" + FUNCTION.format("same"),
                "b.js": FUNCTION.format("Same"),
            },
            'Two functions have the name "Same": this one and "same" (a.js, line 3).',
            "b.js",
            2,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": FUNCTION.format("same")
                + f"try {{ {FUNCTION.format('same').splitlines()[1]} }} catch {{}}",
            },
            'Two functions have the name "same"',
            "a.js",
            3,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": FUNCTION.format("a")
                + "app.hook.appStart(() => {\n  throw new Error('not today');\n});",
            },
            "The app could not be started: not today",
            "a.js",
            4,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": FUNCTION.format("a")
                + "app.hook.appStart(() => new Promise(() => setTimeout(() => {\n"
                + "  throw new Error('thrown aside');\n})));",
            },
            "The app could not be started: thrown aside",
            "a.js",
            4,
        ),
        (
            {
                "package.json": manifest("a.js"),
                "a.js": FUNCTION.format("a"),
                "Hello/function.json": "{}",
            },
            "This app describes functions in files such as Hello/function.json. That is the v3",
            "Hello/function.json",
            None,
        ),
    ],
)
def test_what_is_wrong_with_an_app_is_said_with_its_place(
    tmp_path: Path, files: dict[str, str], said: str, file: str, line: int | None
) -> None:
    answer = refused(tmp_path, files)

    assert said in answer.message
    assert (answer.file, answer.line) == (file, line)


@pytest.mark.parametrize(
    ("name", "version"), [("@azure/functions", "3.5.1"), ("durable-functions", "2.1.3")]
)
def test_packages_of_the_older_model_are_named(tmp_path: Path, name: str, version: str) -> None:
    files = {
        "package.json": manifest(),
        f"node_modules/{name}/package.json": json.dumps({"name": name, "version": version}),
    }

    answer = refused(tmp_path, files, has_packages=False)

    assert answer.message.startswith(f"This app has {name} {version}. That is the v3 ")
    assert "npm install @azure/functions@4 durable-functions@3" in answer.message


def test_a_package_that_cannot_be_read_has_an_unknown_version(tmp_path: Path) -> None:
    files = {
        "package.json": manifest("a.js"),
        "a.js": "const one = 1;",
        "node_modules/durable-functions/package.json": "no JSON",
    }

    answer = refused(tmp_path, files, has_packages=False)

    assert answer.message.startswith("The app registers no functions.")


def test_packages_that_are_not_installed_are_named(tmp_path: Path) -> None:
    files = {"package.json": manifest("a.js"), "a.js": FUNCTION.format("a")}

    answer = refused(tmp_path, files, has_packages=False)

    assert answer.message == (
        "a.js needs the package @azure/functions, which is not there. The packages of this app are "
        f"not installed: run npm install in {tmp_path}."
    )
    assert (answer.file, answer.line) == ("a.js", 1)


def test_an_app_without_functions_and_packages_is_told_of_both(tmp_path: Path) -> None:
    files = {"package.json": manifest("a.js"), "a.js": "const one = 1;"}

    answer = refused(tmp_path, files, has_packages=False)

    assert answer.message == (
        "The app registers no functions. The package @azure/functions is not installed: "
        "run npm install."
    )


def test_an_older_durable_functions_is_fine_on_an_older_node(tmp_path: Path) -> None:
    files = {
        "package.json": manifest("a.js"),
        "a.js": FUNCTION.format("a"),
        "node_modules/durable-functions/package.json": '{"version": "3.3.0"}',
        "older.js": "Object.defineProperty(process, 'versions', { value: { node: '22.1.0' } });",
    }
    written_app(tmp_path, files)
    (tmp_path / "node_modules" / "@azure").symlink_to(PACKAGES / "@azure")

    with loaded_worker(tmp_path, NODE_OPTIONS=f"--require {tmp_path / 'older.js'}") as (_, answer):
        assert answer.notes == []


@pytest.mark.parametrize(
    ("version", "notes"),
    [
        ("4.0.0", ["durable-functions 4.0.0 is newer than what this worker knows (3.x)."]),
        (
            "3.3.0",
            [NO_TIMERS],
        ),
        ("3.3.1", []),
        ("3.10.0", []),
    ],
)
def test_a_durable_functions_that_one_should_know_of_is_noted(
    tmp_path: Path, version: str, notes: list[str]
) -> None:
    files = {
        "package.json": manifest("a.js"),
        "a.js": FUNCTION.format("a"),
        "node_modules/durable-functions/package.json": json.dumps({"version": version}),
    }
    written_app(tmp_path, files)
    (tmp_path / "node_modules" / "@azure").symlink_to(PACKAGES / "@azure")

    with loaded_worker(tmp_path) as (_, answer):
        assert answer.notes == notes
