"""Prepare every other supported Python of this machine, so that tests can replay on them.

Finds CPython 3.11 to 3.14 on PATH, in the usual folders and under ~/.pyenv/versions, makes one
environment per version with Tenuto's runtime dependencies and its source, and writes
`.venvs/pythons.json`: a JSON object from version ("3.12") to the interpreter of its environment.
The version that runs this script is left out: the tests run on it anyway.

An environment is made again only when its interpreter or the dependencies changed. With CI=true
it is an error when no other version can be prepared; elsewhere the list is then empty.

With `--tests` the environments also get what the tests themselves need (`make matrix`).
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
LIST = VENVS / "pythons.json"
TEST_PACKAGES = ROOT / "requirements" / "test.txt"
USUAL_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
PROBE_TIMEOUT_SECONDS = 20

# Says what an interpreter is; fails on one that cannot make environments. Builds without the GIL
# are left out: some dependencies have no wheels for them.
PROBE = """
import ensurepip, json, platform, sys, sysconfig, venv
print(json.dumps({
    "fits": platform.python_implementation() == "CPython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "version": list(sys.version_info[:3]),
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python of this machine that can be used."""

    version: tuple[int, int, int]
    executable: str

    @property
    def minor(self) -> str:
        """The version without its patch number, as in "3.12"."""
        return f"{self.version[0]}.{self.version[1]}"


def main() -> int:
    """Prepare what can be found, write the list, and say what it holds."""
    dependencies = runtime_dependencies()
    for_tests = "--tests" in sys.argv[1:]
    prepared: dict[str, str] = {}
    for interpreter in find_interpreters():
        try:
            python = prepare(interpreter, dependencies)
            if for_tests:
                prepare_for_tests(python)
        except subprocess.CalledProcessError as error:
            print(f"pythons: {interpreter.executable} is left out:\n{error.stderr}")
        else:
            prepared[interpreter.minor] = str(python)
    VENVS.mkdir(exist_ok=True)
    LIST.write_text(json.dumps(prepared, indent=2) + "\n")
    print(f"pythons: beside {running_minor()}: {', '.join(prepared) or 'none'}")
    if not prepared and os.environ.get("CI") == "true":
        print(
            f"pythons: tests must replay on a second CPython of {', '.join(SUPPORTED)}, and CI has "
            f"only {running_minor()}. Looked on PATH, in {', '.join(USUAL_FOLDERS)} and in "
            "~/.pyenv/versions. Install another version there.",
            file=sys.stderr,
        )
        return 1
    return 0


def running_minor() -> str:
    """The version that runs this script, as in "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def runtime_dependencies() -> list[str]:
    """What the project says it needs to run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"])


def find_interpreters() -> list[Interpreter]:
    """One interpreter per supported version, the newest patch, without the running version."""
    newest: dict[str, Interpreter] = {}
    for path in candidates():
        found = probe(path)
        if found is None or found.minor not in SUPPORTED or found.minor == running_minor():
            continue
        if found.minor not in newest or newest[found.minor].version < found.version:
            newest[found.minor] = found
    return [newest[minor] for minor in SUPPORTED if minor in newest]


def candidates() -> Iterator[str]:
    """Every path that may be a Python, once each. They may not exist or not start."""
    seen: set[str] = set()
    pyenv = Path.home() / ".pyenv" / "versions"
    names = ["python3", *(f"python{minor}" for minor in SUPPORTED)]
    # On PATH and in the usual folders a name stands for one interpreter each.
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), *USUAL_FOLDERS]:
        for name in names:
            path = shutil.which(name, path=folder or ".")
            if path is not None and path not in seen:
                seen.add(path)
                yield path
    for minor in SUPPORTED:
        for found in sorted(pyenv.glob(f"{minor}.*/bin/python{minor}")):
            if str(found) not in seen:
                seen.add(str(found))
                yield str(found)


def probe(path: str) -> Interpreter | None:
    """What stands behind `path`, or None when it does not start or cannot be used.

    Version managers put shims on PATH that fail when no interpreter stands behind them.
    """
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=PROBE_TIMEOUT_SECONDS,
        )
        facts = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not facts["fits"]:
        return None
    major, minor, patch = facts["version"]
    return Interpreter((major, minor, patch), facts["executable"])


def prepare(interpreter: Interpreter, dependencies: list[str]) -> Path:
    """An environment of `interpreter` with the dependencies and the source; its interpreter."""
    folder = VENVS / interpreter.minor
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "made-from.json"
    wanted = json.dumps(
        {
            "interpreter": interpreter.executable,
            "version": interpreter.version,
            "dependencies": dependencies,
            "source": str(ROOT / "src"),
        }
    )
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"pythons: making .venvs/{interpreter.minor} with {interpreter.executable}", flush=True)
    run([interpreter.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", "--only-binary", ":all:", *dependencies])
    site_packages = run([str(python), "-c", "import site; print(site.getsitepackages()[-1])"])
    (Path(site_packages.strip()) / "tenuto-source.pth").write_text(f"{ROOT / 'src'}\n")
    stamp.write_text(wanted)
    return python


def prepare_for_tests(python: Path) -> None:
    """Install what the tests need beside what Tenuto does, and Tenuto as a package."""
    stamp = python.parent.parent / "tests-from.txt"
    wanted = TEST_PACKAGES.read_text() + (ROOT / "pyproject.toml").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"pythons: packages for tests into {python.parent.parent.relative_to(ROOT)}", flush=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", "--editable", str(ROOT), "--requirement", str(TEST_PACKAGES)])
    stamp.write_text(wanted)


def run(command: list[str]) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
