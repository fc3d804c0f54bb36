"""The tracking store of commands on past runs and models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seglib.errors import SegError


@contextmanager
def existing_store(runs: Path) -> Iterator[str]:
    """The address of the store; within it, MLflow's failures are one line.

    Args:
        runs: folder of runs, with the SQLite store that is used without
            MLFLOW_TRACKING_URI. It must be there, or MLflow would create it.

    Raises:
        SegError: no store, or one that fails.
    """
    from pipeline.local import tracker
    from seglib.tracking.mlflow_client import answering

    uri = tracker.existing_store(runs)
    if not uri:
        raise SegError(
            f"No tracking store in {runs}. Run the pipeline first, name another folder "
            "of runs with --runs, or a server with MLFLOW_TRACKING_URI."
        )
    with answering(uri):
        yield uri
