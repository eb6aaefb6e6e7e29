"""Which program a worker is."""

from pathlib import Path

from tenuto.interop.azure_functions.command import worker_command


def test_the_program_is_a_file_of_ours() -> None:
    python, program = worker_command(Path("/usr/bin/python3"))
    assert python == "/usr/bin/python3"
    assert Path(program).is_file()
