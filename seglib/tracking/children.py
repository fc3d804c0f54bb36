"""The runs of single steps, below the MLflow run of their pipeline run.

Each step that a run executes has one, with its start, end, status, the folder of its
output and the load of its machine. A step that was taken from the cache has none: the
tag `step.<name>` of the pipeline run says which run made it, and that run has it.

They carry no parameters and no scores, so that lists and comparisons of pipeline runs
stay as they are. Only a sweep's trials have the settings in which they differ, and
their curves.
"""

from typing import Any

PARENT_TAG = "mlflow.parentRunId"
STEP_TAG = "seglib.step"  # run/step: finds a step's run again
FAILURE = ("failed_step", "failure")  # tags of the pipeline run, until another attempt


class Children:
    """The step runs of one pipeline run, `parent_id` in MLflow."""

    def __init__(self, client: Any, *, experiment_id: str, parent_id: str, run: str):
        self._client = client
        self._experiment_id = experiment_id
        self._parent_id = parent_id
        self._run = run
        self._ids: dict[str, str] = {}

    def find(self, step: str) -> str:
        """The MLflow id of a step's run; empty if there is none."""
        if step not in self._ids:
            found = self._client.search_runs(
                [self._experiment_id],
                f"tags.`{STEP_TAG}` = '{self._run}/{step}'",
                max_results=1,
            )
            if not found:
                return ""
            self._ids[step] = str(found[0].info.run_id)
        return self._ids[step]

    def go_on(self, *, repeated: str, time_ms: int) -> None:
        """A step starts: a pipeline run that had ended goes on without its failure.

        Args:
            repeated: the step, if it starts another time.
        """
        is_reopened = self._reopen(self._parent_id, time_ms)
        tags = self._client.get_run(self._parent_id).data.tags
        if is_reopened or (repeated and tags.get(FAILURE[0]) == repeated):
            for name in tags.keys() & set(FAILURE):
                self._client.delete_tag(self._parent_id, name)

    def begin(self, step: str, *, time_ms: int, adopted: str = "") -> str:
        """Start a step's run, or continue that of an earlier attempt; gives its id.

        Args:
            adopted: the run that KFP's own plugin made for this step.
        """
        found = self.find(step)
        tags = {
            PARENT_TAG: self._parent_id,
            STEP_TAG: f"{self._run}/{step}",
            "step": step,
        }
        if adopted:
            for name, value in tags.items():
                self._client.set_tag(adopted, name, value)
        elif found:
            self._reopen(found, time_ms)
        else:
            created = self._client.create_run(
                self._experiment_id, start_time=time_ms, run_name=step, tags=tags
            )
            found = str(created.info.run_id)
        self._ids[step] = adopted or found
        return self._ids[step]

    def ended_ms(self, step: str) -> int:
        """When a step's newest attempt ended; 0: it is running, or there is none."""
        found = self.find(step)
        return self._ended_ms(found) if found else 0

    def end(self, step: str, status: str, *, time_ms: int) -> None:
        """End a step's run, if it has one: FINISHED, FAILED or KILLED."""
        if found := self.find(step):
            self._client.set_terminated(found, status, end_time=time_ms)

    def end_all(self, status: str, *, time_ms: int) -> None:
        """End the step runs that are still open when the pipeline run ends."""
        open_ = f"tags.`{PARENT_TAG}` = '{self._parent_id}' and status = 'RUNNING'"
        for run in self._client.search_runs([self._experiment_id], open_):
            if run.data.tags.get(STEP_TAG):
                self._client.set_terminated(run.info.run_id, status, end_time=time_ms)

    def _reopen(self, run_id: str, time_ms: int) -> bool:
        """Reopen a run that ended before this moment: another attempt has begun.

        An event of the earlier attempt, sent late or twice, reopens nothing.

        Returns:
            Whether it was. MLflow shows the earlier end until there is another.
        """
        is_later = 0 < self._ended_ms(run_id) <= time_ms
        if is_later:
            self._client.update_run(run_id, status="RUNNING")
        return is_later

    def _ended_ms(self, run_id: str) -> int:
        """When a run ended; 0 if it goes on."""
        info = self._client.get_run(run_id).info
        return 0 if info.status == "RUNNING" else int(info.end_time or 1)
