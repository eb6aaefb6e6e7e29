"""Processes that tests of this folder start are there to be killed."""

import pytest


@pytest.fixture(autouse=True)
def nobody_measures_the_killed(unmeasured_children: None) -> None:
    """For each test here."""
