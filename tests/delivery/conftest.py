"""Every test here waits for a store that answers, however busy the machine is."""

import pytest


@pytest.fixture(autouse=True)
def _patient(patient: None) -> None:
    pass
