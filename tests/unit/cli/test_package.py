"""What of a folder is sent."""

import zipfile
from pathlib import Path

import pytest

from tenuto.cli.package import package_of
from tenuto.model.errors import DeploymentError


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as zipped:
        return zipped.namelist()


def made(folder: Path, *files: str) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_what_belongs_to_the_machine_stays_there(tmp_path: Path) -> None:
    left_out = (
        ".git/config",
        ".env",
        "lib/__pycache__/a.pyc",
        "env/pyvenv.cfg",
        "env/bin/python",
        "node_modules/x.js",
        "tenuto.db",
        "tenuto.db-wal",
        "tenuto.db.owner",
        "data/big.csv",
        "notes.txt",
    )
    source = made(tmp_path / "app", "app.py", "lib/a.py", "requirements.txt", *left_out)
    (source / ".tenutoignore").write_text("# not these\ndata/\nnotes.*\n")
    found = package_of(source, tmp_path / "one.zip")
    assert names(found) == ["app.py", "lib/a.py", "requirements.txt"]
    again = package_of(source, tmp_path / "two.zip")
    assert found.read_bytes() == again.read_bytes()


def test_a_zip_is_sent_as_it_is_and_other_files_are_refused(tmp_path: Path) -> None:
    source = made(tmp_path / "app", "app.py")
    given = package_of(source, tmp_path / "one.zip")
    assert package_of(given, tmp_path / "two.zip") == given
    with pytest.raises(DeploymentError, match="neither a folder nor a zip"):
        package_of(source / "app.py", tmp_path / "two.zip")


def test_links_and_empty_folders_are_refused(tmp_path: Path) -> None:
    source = made(tmp_path / "app", ".hidden")
    with pytest.raises(DeploymentError, match="holds no files"):
        package_of(source, tmp_path / "one.zip")
    (source / "link.py").symlink_to("/etc/passwd")
    with pytest.raises(DeploymentError, match="is a link"):
        package_of(source, tmp_path / "one.zip")
