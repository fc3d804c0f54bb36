"""The suite itself: right on a busy machine, and it shows the error that it found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def test_a_property_may_take_any_time():
    assert settings().deadline is None


def test_a_property_with_large_arguments_fails_with_its_own_error():
    @given(number=st.integers(), large=st.just("x" * 100_000))
    def property_(number: int, large: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        property_()
