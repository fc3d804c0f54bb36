"""What `make count` prints."""

from tools.count import counts


def test_the_count_covers_every_package() -> None:
    figures = counts()
    parts = [value for name, value in figures.items() if name.startswith("– ")]
    lines = [int(value.replace(",", "")) for value in parts]
    assert len(lines) == 4
    assert min(lines) > 0
    assert int(figures["lines of source"].replace(",", "")) == sum(lines)
