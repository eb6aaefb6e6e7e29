"""Map-reduce over real files, compared with counting in one go."""

from collections import Counter
from pathlib import Path

import pytest

from examples.word_count import word_count
from examples.word_count.word_count import WORD, Job, count_words
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

TEXTS = Path(word_count.__file__).with_name("texts")


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(word_count.app)


def counted(folder: Path) -> Counter[str]:
    text = "\n".join(file.read_text("utf-8") for file in folder.glob("*.txt"))
    return Counter(WORD.findall(text.lower()))


@pytest.mark.parametrize("lines_per_piece", [1, 7, 1000])
async def test_pieces_add_up_to_the_whole(test: TestHost, lines_per_piece: int) -> None:
    result = await test.run(count_words, Job(str(TEXTS), lines_per_piece, top=5))
    expected = counted(TEXTS)
    assert (result.files, result.words, result.skipped) == (3, expected.total(), [])
    assert result.top["the"] == expected["the"]
    assert list(result.top.values()) == [number for _, number in expected.most_common(5)]


async def test_more_pieces_than_are_added_up_at_once_make_a_tree(
    test: TestHost, folder: Path
) -> None:
    (folder / "long.txt").write_text("one two two\n" * 100)
    result = await test.run(count_words, Job(str(folder), lines_per_piece=1))
    assert result.top == {"two": 200, "one": 100}


async def test_a_file_that_cannot_be_read_is_named_and_the_others_are_counted(
    test: TestHost, folder: Path
) -> None:
    (folder / "good.txt").write_text("good")
    (folder / "broken.txt").write_bytes(b"\xff\xfe\xfa")
    (folder / "folder.txt").mkdir()
    result = await test.run(count_words, Job(str(folder)))
    assert result.top == {"good": 1}
    assert [line.partition(": ")[0] for line in result.skipped] == [
        str(folder / "broken.txt"),
        str(folder / "folder.txt"),
    ]
    assert "UnicodeDecodeError" in result.skipped[0]


async def test_an_empty_folder_has_no_words(test: TestHost, folder: Path) -> None:
    result = await test.run(count_words, Job(str(folder)))
    assert (result.files, result.words, result.top) == (0, 0, {})
