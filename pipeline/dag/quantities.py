"""Kubernetes quantities and durations: read, checked, and written as KFP takes them."""

import re

from seglib.errors import UsageError

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([A-Za-z]*))")
_CPU = re.compile(r"\d+m|\d*\.?\d+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(\s*)([A-Za-z]*)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_KFP_SIZE = re.compile(r"\d+(?:[EPTGM]i?|Ki)?")  # of what KFP takes, what is right


def quantity(text: str) -> float | None:
    """Value of a Kubernetes quantity, in cores or bytes; None for any other text.

    >>> quantity("500m"), quantity("1.5Gi"), quantity("1e3"), quantity("{{$.x}}")
    (0.5, 1610612736.0, 1000.0, None)
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = (match[3] or "") if match else ""
    if not match or unit not in {"m", *_UNITS}:
        return None
    factor = 1e-3 if unit == "m" else float(_UNITS[unit])
    return float(match[1]) * 10.0 ** int(match[2] or 0) * factor


def readable(size_bytes: float) -> str:
    """Bytes for a person.

    >>> readable(1610612736), readable(3 * 2**40)
    ('1.5 GiB', '3.0 TiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            digits = 1 if unit != "B" and (size_bytes < 10 or unit == "GiB") else 0
            return f"{size_bytes:.{digits}f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def cpu_cores(text: str, name: str = "cpu") -> float:
    """Processor cores of the setting `name`: "2", "1.5" or "500m", else a UsageError.

    >>> cpu_cores("500m")
    0.5
    """
    cores = quantity(text) if _CPU.fullmatch(text) else None
    if cores is None:
        raise _wrong(name, 'cores, such as "2", "1.5" or "500m"', text)
    return cores


def size_bytes(text: str, name: str = "size") -> int:
    """Bytes of the setting `name`: "512Mi", "8Gi", "1.5Gi" or "20G".

    Raises:
        UsageError: it is none, or less than a mebibyte, which is a unit left out.

    >>> size_bytes("1.5Gi")
    1610612736
    """
    kind = 'a quantity of bytes, such as "512Mi" or "8Gi"'
    match = _SIZE.fullmatch(text)
    if not match:
        raise _wrong(name, kind, text)
    number, space, unit = match.groups()
    if space or unit not in _UNITS:
        near = f"{unit[:1].upper()}i"  # of "GB", "gib", "g" or "K"
        near = near if near in _UNITS else "Gi"
        raise _wrong(name, kind, text, near=f"{number}{near}")
    size = round(float(number) * _UNITS[unit])
    if size < 2**20:
        raise _wrong(name, f"{kind}, and at least 1Mi", text, near=f"{number}Gi")
    return size


def duration_s(text: str, name: str = "duration") -> int:
    """Seconds of the setting `name`: "90s", "30m", "1h30m" or "2d".

    Raises:
        UsageError: it is none, or a number without its unit.

    >>> duration_s("1h30m")
    5400
    """
    match = _DURATION.fullmatch(text)
    if not text or not match:
        near = f"{text}s" if text.isdigit() else ""
        kind = 'a duration, such as "90s", "30m", "1h30m" or "2d"'
        raise _wrong(name, kind, text, near=near)
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return 60 * (60 * (24 * days + hours) + minutes) + seconds


def kfp_size(text: str) -> str:
    """A size as KFP's compiler takes it: in whole numbers, and without "k".

    >>> kfp_size("8Gi"), kfp_size("1.5Gi")
    ('8Gi', '1610612736')
    """
    return text if _KFP_SIZE.fullmatch(text) else str(size_bytes(text))


def _wrong(name: str, kind: str, text: str, *, near: str = "") -> UsageError:
    hint = f' Did you mean "{near}"?' if near else ""
    return UsageError(f"`{name}` must be {kind}. Received: {name}={text!r}.{hint}")
