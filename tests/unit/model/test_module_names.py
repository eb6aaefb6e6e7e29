"""Names of modules in records: the same whatever launched the program."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tenuto.model import module_names
from tenuto.model.class_names import is_named, loaded_class, type_name
from tenuto.model.module_names import (
    IMPORTED_MAIN,
    MAIN,
    is_recorded_as,
    module_name_of,
    modules_recorded_as,
    record_as_its_file,
    recorded_module_name,
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "pkg" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").touch()
    (folder / "__init__.py").touch()
    return folder


def main_from(file: object) -> ModuleType:
    module = ModuleType(MAIN)
    if file is not None:
        module.__file__ = str(file)
    return module


@pytest.mark.parametrize("name", [MAIN, IMPORTED_MAIN])
def test_a_main_program_is_called_as_if_its_file_had_been_imported(
    name: str, tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for file in (tmp_path / "shop.py", package / "shop.py", package / "__main__.py"):
        monkeypatch.setitem(sys.modules, name, main_from(file))
        found[file.relative_to(tmp_path).as_posix()] = recorded_module_name(name)
    assert found == {
        "shop.py": "shop",
        "pkg/inner/shop.py": "pkg.inner.shop",
        "pkg/inner/__main__.py": "pkg.inner.__main__",
    }
    declined = type("CardDeclined", (Exception,), {"__module__": name})
    assert type_name(declined) == "pkg.inner.__main__.CardDeclined"


@pytest.mark.parametrize("file", [None, "<stdin>", "/nowhere/__main__.py"])
def test_a_program_without_a_file_to_import_has_bare_names(
    file: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MAIN, main_from(file))
    assert recorded_module_name(MAIN) is None
    declined = type("CardDeclined", (Exception,), {"__module__": MAIN})
    assert type_name(declined) == "CardDeclined"


def test_modules_under_another_name_for_once_are_called_as_ever(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_names, "NAMES", {})
    assert recorded_module_name("tenuto_app_json") == "json"
    assert recorded_module_name("<run_path>") is None
    record_as_its_file("space.shop", str(tmp_path / "space" / "shop.py"))
    assert recorded_module_name("space.shop") == "shop"
    record_as_its_file("pkg.inner.shop", str(package / "shop.py"))
    assert recorded_module_name("pkg.inner.shop") == "pkg.inner.shop"


def test_a_package_is_found_from_its_own_file(package: Path, tmp_path: Path) -> None:
    assert module_name_of(str(package / "__init__.py")) == (str(tmp_path), "pkg.inner")


def test_names_that_mean_the_same_file_are_the_same(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space").mkdir()
    for name, file in (
        ("space.shop", tmp_path / "space" / "shop.py"),
        ("pkg.inner.errors", package / "errors.py"),
        ("other.errors", tmp_path / "other" / "errors.py"),
        ("native", tmp_path / "native.so"),
    ):
        module = ModuleType(name)
        module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, name, module)
    folder = ".".join(tmp_path.parts[-1:])
    for recorded in ("space.shop", "shop", f"{folder}.space.shop"):
        assert is_recorded_as("space.shop", recorded)
        assert sys.modules["space.shop"] in modules_recorded_as(recorded)
    for recorded in ("shop.space", "hop", "other.shop", "space.shop.more", "space"):
        assert not is_recorded_as("space.shop", recorded)
    # A package says where its names begin.
    assert is_recorded_as("pkg.inner.errors", "pkg.inner.errors")
    assert not is_recorded_as("pkg.inner.errors", "errors")
    assert not is_recorded_as("other.errors", "space.errors")
    assert is_recorded_as("other.errors", "errors")
    assert is_recorded_as("native", "native")
    assert not is_recorded_as("native", "other.native")
    assert not is_recorded_as("not.there", "there")
    declined = type("CardDeclined", (Exception,), {"__module__": "space.shop"})
    assert is_named(declined, "shop.CardDeclined")
    assert not is_named(declined, "shop.Declined")
    sys.modules["space.shop"].CardDeclined = declined  # type: ignore[attr-defined]
    assert loaded_class("shop.CardDeclined") is declined
    assert loaded_class("space.shop.CardDeclined") is declined
    odd = type("CardDeclined", (Exception,), {"__module__": None})
    assert not is_named(odd, "shop.CardDeclined")
    monkeypatch.setattr(module_names, "NAMES", {"space.shop": "store"})
    assert sys.modules["space.shop"] in modules_recorded_as("store")


def test_a_main_program_is_meant_by_the_name_under_which_another_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MAIN, main_from(tmp_path / "space" / "shop.py"))
    assert is_recorded_as(MAIN, "space.shop")
    assert is_recorded_as(MAIN, "shop")
    assert not is_recorded_as(MAIN, "other.shop")
    monkeypatch.setitem(sys.modules, MAIN, main_from("/nowhere/__main__.py"))
    assert not is_recorded_as(MAIN, "nowhere")


def test_the_class_of_a_main_program_is_found_under_the_name_that_its_file_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_file, without = main_from(tmp_path / "shop.py"), main_from(None)
    for main in (with_file, without):
        main.__dict__["Declined"] = type("Declined", (Exception,), {"__module__": MAIN})
    monkeypatch.setitem(sys.modules, MAIN, with_file)
    assert loaded_class("shop.Declined") is with_file.__dict__["Declined"]
    assert loaded_class("Declined") is None
    monkeypatch.setitem(sys.modules, MAIN, without)
    assert loaded_class("Declined") is without.__dict__["Declined"]
