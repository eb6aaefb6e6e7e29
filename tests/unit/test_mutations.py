"""The list of mutations keeps up with the sources: each text is there, once."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_text_of_every_mutation_is_in_the_sources() -> None:
    mutations = runpy.run_path(str(ROOT / "tools" / "mutations.py"))["MUTATIONS"]
    assert len(mutations) > 30
    counts = {
        one.name: (ROOT / "src" / "tenuto" / one.file).read_text(encoding="utf-8").count(one.old)
        for one in mutations
    }
    assert {name: count for name, count in counts.items() if count != 1} == {}
