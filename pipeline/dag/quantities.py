"""Kubernetes' quantities, and durations: read, checked, and put as KFP takes them."""

import re

from seglib.errors import UsageError

UNLIMITED_S = 365 * 86400  # of attempts that have no timeout
LONGEST_S = 2**31 - 1  # of a deadline in Kubernetes

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)},
}
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_CPU = re.compile(r"(\d+)m|(\d*\.?\d+)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_KFP_SIZE = re.compile(r"\d+(?:[EPTGM]i?|Ki)?")  # of what KFP takes, what is right


def cpu_cores(text: str, name: str = "cpu") -> float:
    """Processor cores of a quantity: "2", "1.5" or "500m".

    Args:
        name: of the setting, for messages.

    Raises:
        UsageError: it is none.

    >>> cpu_cores("500m")
    0.5
    """
    match = _CPU.fullmatch(text)
    if not match:
        raise _wrong(name, 'cores, such as "2", "1.5" or "500m"', text)
    thousandths, cores = match.groups()
    return int(thousandths) / 1000 if thousandths else float(cores)


def size_bytes(text: str, name: str = "size") -> int:
    """Bytes of a quantity: "512Mi", "8Gi", "1.5Gi" or "20G".

    Args:
        name: of the setting, for messages.

    Raises:
        UsageError: it is none, or less than a mebibyte, which is a unit left out.

    >>> size_bytes("1.5Gi")
    1610612736
    """
    kind = 'a quantity of bytes, such as "512Mi" or "8Gi"'
    match = _SIZE.fullmatch(text)
    if not match:
        raise _wrong(name, kind, text)
    number, unit = match.groups()
    if unit not in _UNITS or " " in text:
        raise _wrong(name, kind, text, near=f"{number}{_near_unit(unit)}")
    size = round(float(number) * _UNITS[unit])
    if size < 2**20:
        raise _wrong(name, f"{kind}, and at least 1Mi", text, near=f"{number}Gi")
    return size


def duration_s(text: str, name: str = "duration") -> int:
    """Seconds of a duration: "90s", "30m", "1h30m" or "2d".

    Args:
        name: of the setting, for messages.

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
    return sum(
        int(number) * seconds
        for number, seconds in zip(match.groups(), _SECONDS.values(), strict=True)
        if number
    )


def attempts_s(
    retries: int, *, timeout_s: int, pause_s: float, factor: float = 2.0
) -> int:
    """Seconds from the start of a step's first attempt to the end of its last one.

    Argo counts `backoff.maxDuration` from the same start, and ends by it what runs.

    Args:
        timeout_s: of one attempt; 0: none.
        pause_s: before the second attempt.
        factor: of each further pause to the one before.

    Returns:
        At most LONGEST_S.

    >>> attempts_s(2, timeout_s=7200, pause_s=30)
    21690
    """
    attempts = (retries + 1) * timeout_s or UNLIMITED_S
    try:
        pauses = retries if factor == 1 else (factor**retries - 1) / (factor - 1)
    except OverflowError:
        return LONGEST_S
    return round(min(LONGEST_S, attempts + pause_s * pauses))


def kfp_size(text: str) -> str:
    """A size as KFP's compiler takes it: in whole numbers, and without "k".

    >>> kfp_size("8Gi"), kfp_size("1.5Gi")
    ('8Gi', '1610612736')
    """
    return text if _KFP_SIZE.fullmatch(text) else str(size_bytes(text))


def _wrong(name: str, kind: str, text: str, *, near: str = "") -> UsageError:
    hint = f' Did you mean "{near}"?' if near else ""
    return UsageError(f"`{name}` must be {kind}. Received: {name}={text!r}.{hint}")


def _near_unit(unit: str) -> str:
    """The right unit for "GB", "gib", "g" or "K"; giga- where nothing is alike."""
    letter = unit[:1].upper()
    return f"{letter}i" if f"{letter}i" in _UNITS else "Gi"
