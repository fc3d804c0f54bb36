"""What the processes of a training do together: agree, save the state, end.

Process 0 decides and holds the checkpoints. In a group of one process nothing is sent,
and what is left is the training's checkpoints and its end by SIGTERM.
"""

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import cast

from seglib.distributed.process_group import ProcessGroup, Terminated, signal_handlers
from seglib.models.model import SegmentationModel
from seglib.training.checkpoints import Checkpoints, Snapshot
from seglib.training.precision import Numerics
from seglib.training.state import TrainingState, require_state

logger = logging.getLogger(__name__)


class Coordinator:
    """The checkpoints of a training, and the agreements between its processes.

    Args:
        group: the processes.
        checkpoints: of process 0; those of the others are not used.
    """

    def __init__(self, group: ProcessGroup, checkpoints: Checkpoints | None):
        self.group = group
        self.checkpoints = checkpoints if group.is_first else None
        self.key = ""  # of the training, once it is opened
        self._signal = 0  # that told this process to end

    @property
    def place(self) -> str:
        """Where the checkpoints come from, for the log."""
        return self.checkpoints.place if self.checkpoints else "process 0"

    def open(
        self, model: SegmentationModel, content_key: Callable[[], str]
    ) -> Snapshot | None:
        """Give all processes the weights of process 0, and the checkpoint it finds.

        Args:
            model: with its first weights. The same seed need not give the same ones on
                every kind of processor.
            content_key: called where it is needed, with those weights in the model.

        Raises:
            SegError: the processes would train different things, or the place of the
                checkpoints cannot be read.
        """
        if self.group.count > 1:
            own = Snapshot(facts={}, arrays={"weights": model.network.get_weights()})
            first = cast(Snapshot, self._broadcast(own))
            model.network.set_weights(first.arrays["weights"])
        elif not self.checkpoints:
            return None
        self.key = key = content_key()
        self.group.require_same(key)
        found = None
        if self.checkpoints:
            fits = partial(require_state, network=model.network)
            found = self.checkpoints.open(key, check=fits)
        return self._broadcast(found)

    def share_numerics(self, numerics: Numerics) -> Numerics:
        """The numerics of process 0, in all processes."""
        content = self.group.broadcast(json.dumps(asdict(numerics)).encode())
        return Numerics(**json.loads(content))

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within it, signals wait for the end of a step, and a lost process is named.

        Ctrl-C a second time does not wait.

        However it ends, the checkpoint that is being written is finished.
        """
        with ExitStack() as stack:
            if self.checkpoints:
                stack.enter_context(self.checkpoints)
            if self.checkpoints or self.group.count > 1:
                noted = {signal.SIGTERM: self._note}
                if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
                    noted[signal.SIGINT] = self._note
                stack.enter_context(signal_handlers(noted))
            stack.enter_context(self.group.lost_as_error())
            yield

    def decide(
        self, state: TrainingState, *, learning_rate: float, is_over: bool
    ) -> bool:
        """Take over what process 0 decides on the next step.

        Args:
            state: it gets the learning rate, and whether SIGTERM has come to any.
            learning_rate: that this process would take.
            is_over: whether its time is over.

        Returns:
            Whether the time is over.
        """
        leads = float(self.group.is_first)
        over, state.learning_rate, terminating = self.group.sum(
            [leads * is_over, leads * learning_rate, bool(self._signal)]
        )
        state.is_terminating = terminating > 0
        return over > 0

    def save(
        self, state: TrainingState, take: Callable[[], Snapshot], *, epoch_ends: bool
    ) -> None:
        """Write a checkpoint where one is due.

        Args:
            take: gives the snapshot.
            epoch_ends: now, which is a good moment.

        Raises:
            Terminated: SIGTERM has come to a process of the group, and the state is
                written.
            KeyboardInterrupt: the same after Ctrl-C.
        """
        if state.is_terminating:
            name = "Ctrl-C" if self._signal == signal.SIGINT else "SIGTERM"
            if self.checkpoints and self.checkpoints.write_last(take):
                step = state.step
                logger.info("%s: ended after step %d, whose state is kept", name, step)
            if not self.group.is_first:
                logger.info("SIGTERM to one of all: ended after step %d", state.step)
            self.group.sum([])  # all wait until it is written
            if self._signal == signal.SIGINT:
                raise KeyboardInterrupt
            raise Terminated
        if self.checkpoints and self.checkpoints.is_due(epoch_ends=epoch_ends):
            self.checkpoints.write(take)

    def share_outcome(self, outcome: Callable[[], Snapshot]) -> Snapshot:
        """Save the outcome of process 0, and give it to all processes."""
        if self.checkpoints:
            self.checkpoints.write_last(outcome)
        return cast(Snapshot, self._broadcast(outcome()))

    def end(self) -> None:
        """The model is written: its checkpoints are needed no longer."""
        if self.checkpoints:
            self.checkpoints.end()

    def _note(self, number: int, _frame: object) -> None:
        if self._signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def _broadcast(self, snapshot: Snapshot | None) -> Snapshot | None:
        if self.group.count == 1:
            return snapshot
        own = snapshot if self.group.is_first else None
        content = self.group.broadcast(own.to_bytes() if own else b"")
        return Snapshot.from_bytes(content) if content else None
