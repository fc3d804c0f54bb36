import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dag.quantities import cpu_cores, duration_s, kfp_size, size_bytes
from seglib.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 2**20),
        ("1Mi", 2**20),
        ("2048Ki", 2 * 2**20),
        ("2000k", 2_000_000),
        ("64Gi", 64 * 2**30),
        ("20G", 20_000_000_000),
        ("1.5Ti", 3 * 2**39),
    ],
)
def test_a_size_is_that_of_kubernetes(text: str, size: int) -> None:
    assert size_bytes(text) == size


# What Kubernetes reads KFP must read, too: as it stands, or in bytes.
@given(st.integers(2, 4096), st.sampled_from(["Mi", "Gi", "M", "G", "Ti"]))
def test_a_size_means_the_same_to_kfp(number: int, unit: str) -> None:
    assert size_bytes(kfp_size(f"{number}{unit}"), "") == size_bytes(f"{number}{unit}")
    assert kfp_size(f"{number}.5{unit}").isdigit()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("8GB", 'Did you mean "8Gi"?'),
        ("8gib", 'Did you mean "8Gi"?'),
        ("512m", 'Did you mean "512Mi"?'),  # thousandths of a byte
        ("64K", 'Did you mean "64Ki"?'),
        ("8 Gi", 'Did you mean "8Gi"?'),
        ("4", 'Did you mean "4Gi"?'),
        ("much", "Received: memory_limit='much'."),
        ("", "Received: memory_limit=''."),
    ],
)
def test_a_bad_size_names_the_setting_and_a_better_one(text: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        size_bytes(text, "memory_limit")
    assert str(caught.value).startswith("`memory_limit` must be a quantity of bytes")
    assert str(caught.value).endswith(remedy)


def test_processors_are_cores_or_thousandths_of_them() -> None:
    given = ("2", "1.5", ".5", "250m")
    assert [cpu_cores(text) for text in given] == [2, 1.5, 0.5, 0.25]
    for text in ("", "2 cores", "0.5m", "-1", "1e3"):
        with pytest.raises(UsageError, match="`cpu` must be cores, such as"):
            cpu_cores(text)


def test_a_duration_adds_its_parts() -> None:
    given = ("90s", "30m", "1h30m", "2d", "1d1h1m1s")
    assert [duration_s(t) for t in given] == [90, 1800, 5400, 172_800, 90_061]


@pytest.mark.parametrize("text", ["", "3600", "1.5h", "30min", "m", "1m1h"])
def test_a_bad_duration_is_refused_and_a_bare_number_gets_its_unit(text: str) -> None:
    remedy = 'Did you mean "3600s"?' if text == "3600" else f"timeout={text!r}."
    with pytest.raises(UsageError, match="`timeout` must be a duration") as caught:
        duration_s(text, "timeout")
    assert str(caught.value).endswith(remedy)
