"""Something that takes room, and the reason why it stays, if any."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from seglib.errors import SegError
from seglib.tracking.queries import RunFacts, TrackedRuns

_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something that may be freed.

    Attributes:
        kind: checkpoint, outcome, events, dataset, contents, workflow or schedule.
        needed: why it stays; empty: nothing needs it.
        free: removes it, unless it has changed since it was looked at.
    """

    kind: str
    name: str
    size_bytes: int
    modified_s: float  # since 1970
    needed: str
    free: Callable[[], bool]

    @property
    def age_days(self) -> float:
        return (time.time() - self.modified_s) / _DAY_S


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Reasons to keep something: runs that MLflow knows, and its age.

    Attributes:
        rows: of MLflow; None where it does not answer.
        reason: why it does not.
    """

    grace_days: float
    rows: TrackedRuns | None
    reason: str = ""
    running: list[RunFacts] = field(default_factory=list)

    @classmethod
    def ask(cls, uri: str, *, grace_days: float) -> "Needs":
        """Ask MLflow which runs go on; without an answer, all that it may need stays.

        Args:
            uri: of the store; empty: there is none.
        """
        from seglib.tracking.mlflow_client import answering

        if not uri:
            return cls(grace_days=grace_days, rows=None, reason="no MLflow is named")
        try:
            with answering(uri):
                rows = TrackedRuns(uri)
                return cls(grace_days=grace_days, rows=rows, running=rows.running())
        except SegError as error:
            return cls(grace_days=grace_days, rows=None, reason=str(error))

    def too_young(self, modified_s: float) -> str:
        days = (time.time() - modified_s) / _DAY_S
        if days >= self.grace_days:
            return ""
        return f"younger than {self.grace_days:g} day(s)"

    def row(self, run: str) -> RunFacts | None:
        """The row of a run, where MLflow answers."""
        from seglib.tracking.mlflow_client import answering

        assert self.rows
        with answering(self.rows.uri):
            return self.rows.of_run(run)
