"""What findings of one kind have in common."""

from dataclasses import dataclass

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Code:
    """What a code means, why it matters, and what to do."""

    severity: str  # ERROR or WARNING
    title: str
    why: str
    remedy: str
