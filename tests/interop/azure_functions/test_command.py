"""Which interpreter and which program a worker is."""

import sys
from pathlib import Path

from tenuto.interop.azure_functions.command import find_python, worker_command


def interpreter(folder: Path, name: str = "python") -> Path:
    file = folder / "bin" / name
    file.parent.mkdir(parents=True)
    file.write_text("")
    file.chmod(0o755)
    return file


def test_the_first_interpreter_of_the_app_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "app"
    on_path = interpreter(tmp_path / "usr", "python3")
    environment = {"PATH": str(on_path.parent)}
    assert find_python(root, {}) == Path(sys.executable)
    assert find_python(root, environment) == on_path
    in_app = interpreter(root / "venv")
    assert find_python(root, environment) == in_app
    usual = interpreter(root / ".venv")
    assert find_python(root, environment) == usual
    active = interpreter(tmp_path / "active")
    assert find_python(root, {**environment, "VIRTUAL_ENV": str(tmp_path / "active")}) == active
    assert find_python(root, {**environment, "VIRTUAL_ENV": str(tmp_path / "gone")}) == usual


def test_the_program_is_a_file_of_ours() -> None:
    python, program = worker_command(Path("/usr/bin/python3"))
    assert python == "/usr/bin/python3"
    assert Path(program).is_file()
