"""Kubernetes' quantities, as any document may have them."""

import re

_UNITS = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+)|([A-Za-z]{0,2}))")


def quantity(text: str) -> float | None:
    """Cores or bytes; None where it is a parameter, or no quantity.

    >>> quantity("500m"), quantity("1.5Gi"), quantity("1e3"), quantity("{{$.x}}")
    (0.5, 1610612736.0, 1000.0, None)
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match or (match[3] or "") not in _UNITS:
        return None
    number = float(match[1]) * 10.0 ** int(match[2] or 0)
    return number * _UNITS[match[3] or ""]


def readable(size_bytes: float) -> str:
    """Bytes for a person.

    >>> readable(1610612736)
    '1.5 GiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            digits = 1 if size_bytes < 10 and unit != "B" else 0
            return f"{size_bytes:.{digits}f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"
