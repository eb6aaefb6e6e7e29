"""Packages that were sent: what is refused, what is left of it, and which version runs."""

import asyncio
import os
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import tenuto
from tenuto.cli.running.replacing import _report_in
from tenuto.host.deploying import archive
from tenuto.host.deploying.archive import unpack
from tenuto.host.deploying.environments import (
    Ended,
    ended,
    forget_unneeded,
    interpreter_for,
    required_by,
)
from tenuto.host.deploying.options import DeploySettings
from tenuto.host.deploying.versions import Versions
from tenuto.model.deployments import INTERRUPTED, RUNS, Deployment, DeploymentList
from tenuto.model.errors import DeploymentError
from tests.support.leftovers import is_running
from tests.support.waiting import until

MOST = 32 * 1024 * 1024


REPORT = b"""{
  "held": %d,
  "goesOn": 2,
  "orchestrators": []
}
"""


def zipped(folder: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return path


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.py")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def device() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("null.py")
    info.external_attr = (stat.S_IFCHR | 0o666) << 16
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../out.py",
        "a/../../out.py",
        "/etc/out.py",
        "C:/out.py",
        "a\\..\\out.py",
        "a//b.py",
        "./a.py",
        "a\x01.py",
        "nul.py",
        "a./b.py",
        "n" * 256,
        "/".join(["d" * 200] * 6),
        link(),
        device(),
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(
    tmp_path: Path, name: str | zipfile.ZipInfo
) -> None:
    package = zipped(tmp_path, ("app.py", b""), (name, b"x"))
    with pytest.raises(DeploymentError, match="in the package is"):
        unpack(package, tmp_path / "inside" / "made", MOST)
    assert not list(tmp_path.glob("out.py"))
    assert not list(tmp_path.glob("inside/out.py"))


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    package = zipped(tmp_path, ("app0.py", b""))
    package.write_bytes(package.read_bytes().replace(b"app0.py", b"app\x00.py"))
    with pytest.raises(DeploymentError, match="no name that is safe"):
        unpack(package, tmp_path / "made", MOST)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.py", "a.py"),
        ("a.py", "A.py"),
        ("caf\u00e9.py", "cafe\u0301.py"),
        ("a", "a/b.py"),
        ("a/b.py", "a"),
        ("Lib/a.py", "lib/b.py"),
    ],
)
def test_names_that_collide_are_refused(tmp_path: Path, one: str, other: str) -> None:
    package = zipped(tmp_path, (one, b"1"), (other, b"2"))
    with pytest.raises(DeploymentError, match="twice"):
        unpack(package, tmp_path / "made", MOST)


def test_bombs_are_counted_while_they_are_read(tmp_path: Path) -> None:
    package = zipped(tmp_path, ("app.py", bytes(20 * 1024 * 1024)))
    with pytest.raises(DeploymentError, match="100 times its own size"):
        unpack(package, tmp_path / "made", MOST)
    small = zipped(tmp_path, ("app.py", os.urandom(2_000)))
    with pytest.raises(DeploymentError, match="more than 1,000 bytes"):
        unpack(small, tmp_path / "made2", 1_000)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    package = zipped(tmp_path, *((f"{number}.py", b"") for number in range(3)))
    with pytest.raises(DeploymentError, match="3 files; at most 2"):
        unpack(package, tmp_path / "made", MOST)


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b"no zip", lambda _: b""])
def test_what_is_no_zip_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    package = zipped(tmp_path, ("app.py", b"x = 1"))
    package.write_bytes(damage(package.read_bytes()))
    with pytest.raises(DeploymentError, match="no sound zip"):
        unpack(package, tmp_path / "made", MOST)


def test_a_version_is_its_files_and_they_are_private(tmp_path: Path) -> None:
    package = zipped(tmp_path, ("a/app.py", b"x = 1"), ("b.py", b""))
    version = unpack(package, tmp_path / "one", MOST)
    turned = zipped(tmp_path, ("b.py", b""), ("a/app.py", b"x = 1"))
    assert unpack(turned, tmp_path / "two", MOST) == version
    assert (tmp_path / "one" / "a" / "app.py").read_bytes() == b"x = 1"
    assert stat.S_IMODE((tmp_path / "one" / "b.py").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "one" / "a").stat().st_mode) == 0o700
    other = zipped(tmp_path, ("b.py", b""), ("a/app.py", b"x = 2"))
    assert unpack(other, tmp_path / "three", MOST) != version


def versions(tmp_path: Path, keep: int = 10) -> Versions:
    return Versions(DeploySettings(folder=str(tmp_path / "kept"), keep=keep))


def taken_in(into: Versions, tmp_path: Path, content: bytes) -> str:
    package = into.new_package()
    package.write_bytes(zipped(tmp_path, ("app.py", content)).read_bytes())
    return into.unpacked(package.name)


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    there = versions(tmp_path)
    there.prepare()
    package = there.new_package()
    package.write_bytes(zipped(tmp_path, ("app.py", b""), ("../out.py", b"")).read_bytes())
    with pytest.raises(DeploymentError):
        there.unpacked(package.name)
    left = [path.name for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert left == ["state.json"]


def test_after_a_crash_leftovers_are_gone_and_the_state_is_told(tmp_path: Path) -> None:
    there = versions(tmp_path)
    state = there.prepare()
    version = taken_in(there, tmp_path, b"1")
    state.runs = version
    state.deployments.append(Deployment(number=1, kind="deploy", state="switching"))
    there.write(state)
    (there.folder / "versions" / "x.part").mkdir()
    there.new_package().write_bytes(b"half")
    (there.folder / "state.part").write_bytes(b"{")
    again = versions(tmp_path).prepare()
    assert again.runs == version
    assert again.versions == [version]
    assert again.deployments[0].state == INTERRUPTED
    assert not list((there.folder / "versions").glob("*.part"))
    assert not list((there.folder / "incoming").iterdir())


def test_a_damaged_state_and_a_lost_version_are_said(tmp_path: Path) -> None:
    there = versions(tmp_path)
    there.prepare()
    there.write(DeploymentList(runs="0" * 16))
    with pytest.raises(DeploymentError, match="should run and is not in"):
        there.prepare()
    (there.folder / "state.json").write_bytes(b'{"runs":')
    with pytest.raises(DeploymentError, match="cannot be read"):
        there.prepare()


def test_the_oldest_go_but_never_those_that_are_needed(tmp_path: Path) -> None:
    there = versions(tmp_path, keep=3)
    state = there.prepare()
    made = [taken_in(there, tmp_path, str(number).encode()) for number in range(5)]
    state.deployments = [
        Deployment(number=number, kind="deploy", version=version, state=RUNS)
        for number, version in enumerate(made, 1)
    ]
    state.runs, state.before = made[0], made[1]
    there.forget(state)
    assert set(there.read().versions) == {made[0], made[1], made[4]}
    with pytest.raises(DeploymentError, match="there is no version"):
        there.code_of("../../etc")


def test_requirements_leave_tenuto_to_the_server(tmp_path: Path) -> None:
    assert required_by(tmp_path) == []
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["tenuto[postgres]>=0.1", "httpx"]'
    )
    assert required_by(tmp_path) == ["httpx"]
    (tmp_path / "requirements.txt").write_text("# all\ntenuto==0.1\ntenuto-extras\n\nattrs\n")
    assert required_by(tmp_path) == ["tenuto-extras", "attrs"]
    (tmp_path / "requirements.txt").write_text("attrs\n-r more.txt\n")
    with pytest.raises(DeploymentError, match="leads to a file"):
        required_by(tmp_path)
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(DeploymentError, match="cannot be read"):
        required_by(tmp_path)


def test_records_keep_their_names_on_the_wire() -> None:
    record = Deployment(number=1, kind="deploy", state=RUNS, goes_on=2, gap_seconds=0.5)
    assert msgspec.to_builtins(record) == {
        "number": 1,
        "kind": "deploy",
        "state": "done",
        "goesOn": 2,
        "gapSeconds": 0.5,
    }


def wheel(folder: Path, name: str, version: str) -> None:
    """A package that needs no network."""
    facts = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        made.writestr(
            f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        made.writestr(
            f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{facts}/RECORD", "")


async def test_what_is_required_is_installed_apart_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    wheel(tmp_path, "deployed_part", "1.5")
    environments = tmp_path / "environments"
    code = tmp_path / "code"
    code.mkdir()
    assert await interpreter_for(code, environments, 60) == sys.executable
    (code / "requirements.txt").write_text("tenuto\ndeployed-part==1.5\n")
    python = await interpreter_for(code, environments, 60)
    script = "import deployed_part, tenuto; print(deployed_part.VERSION, tenuto.__file__)"
    told = await ended([python, "-P", "-c", script], 60)
    assert told.output.decode().split() == ["1.5", str(tenuto.__file__)], told.errors
    (tmp_path / "deployed_part-1.5-py3-none-any.whl").unlink()
    assert await interpreter_for(code, environments, 60) == python

    (code / "requirements.txt").write_text("not-there-at-all\n")
    with pytest.raises(DeploymentError, match="not-there-at-all"):
        await interpreter_for(code, environments, 60)
    assert [one.name for one in environments.iterdir()] == [Path(python).parents[1].name]
    forget_unneeded(environments, [code])
    assert not list(environments.iterdir())


async def test_a_command_that_takes_too_long_is_killed() -> None:
    with pytest.raises(TimeoutError):
        await ended([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)


@pytest.mark.parametrize(
    ("code", "errors", "words"),
    [
        (3, b"", "its process ended with exit code 3, and said nothing"),
        (-11, b"", "its process was ended by signal 11 (SIGSEGV), and said nothing"),
        (-99, b"", "its process was ended by signal 99, and said nothing"),
        (2, b"one\ntwo\n", "its process ended with exit code 2:\none\ntwo"),
    ],
)
def test_how_a_process_ended_is_said_even_if_it_said_nothing(
    code: int, errors: bytes, words: str
) -> None:
    assert Ended(code, b"", errors).how == words


@pytest.mark.parametrize(
    ("printed", "held"),
    [
        (REPORT % 1, 1),
        (b'hello\n{\n  "a": 1}\n{hello' + REPORT % 0 + b"bye {\n{\n", 0),
        (b"hello", None),
        (b"{" * 100_000, None),
        (b'{\n  "a":' * 10_000, None),
    ],
)
def test_the_report_of_a_check_is_found_in_what_the_app_prints(
    printed: bytes, held: int | None
) -> None:
    found = _report_in(printed)
    assert (None if found is None else found["held"]) == held


async def test_what_a_command_has_left_running_holds_nobody_up_and_ends(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(one.pid)\n"
    )
    found = await ended([sys.executable, "-c", script], 30)
    assert found.code == 0
    pid = int(found.output)
    async with asyncio.timeout(10):
        await until(lambda: not is_running(pid))


def test_a_version_that_was_damaged_is_mended_by_its_package(tmp_path: Path) -> None:
    versions = Versions(DeploySettings(folder=str(tmp_path / "kept")))
    versions.prepare()
    members = (("app.py", b"x = 1"), ("lib/a.py", b"a = 1"), ("lib/b.py", b"b = 1"))

    def taken_in() -> Path:
        package = versions.new_package()
        zipped(tmp_path, *members).replace(package)
        return versions.code_of(versions.unpacked(package.name))

    code = taken_in()
    (code / "app.py").unlink()
    (code / "lib/a.py").write_bytes(b"a = 2")
    (code / "lib/b.py").unlink()
    (code / "lib/b.py").mkdir()
    (code / "data.txt").write_bytes(b"of the app")
    assert taken_in() == code
    assert [(code / name).read_bytes() for name, _ in members] == [text for _, text in members]
    assert (code / "data.txt").read_bytes() == b"of the app"


def test_a_list_of_files_that_takes_the_memory_is_not_read(tmp_path: Path) -> None:
    package = zipped(tmp_path, ("app.py", b""))
    whole = bytearray(package.read_bytes())
    at = whole.rfind(b"PK\5\6")
    whole[at + 12 : at + 16] = (50_000_000).to_bytes(4, "little")
    package.write_bytes(whole)
    with pytest.raises(DeploymentError, match="list of files takes 50,000,000 bytes"):
        unpack(package, tmp_path / "made", MOST)


def test_a_deployment_that_cannot_be_noted_has_not_begun(tmp_path: Path) -> None:
    versions = Versions(DeploySettings(folder=str(tmp_path / "kept")))
    state = versions.prepare()
    (versions.folder / "state.part").mkdir()
    with pytest.raises(OSError, match=r"state\.part"):
        versions.begin(state, Deployment(number=1, kind="deploy", state="unpacking", at=1))
    assert state.deployments == versions.read().deployments == []
