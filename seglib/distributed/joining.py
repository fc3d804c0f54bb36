"""Join the process group that TF_CONFIG names."""

from seglib.distributed.cluster import Cluster
from seglib.distributed.process_group import ProcessGroup
from seglib.environment import TF_CONFIG
from seglib.errors import UsageError


def join() -> ProcessGroup:
    """Join the processes that TF_CONFIG names, and wait until all of them are there.

    It has to come before anything else that uses TensorFlow.

    Returns:
        The group; of one process without the variable, or with one worker in it.

    Raises:
        UsageError: TF_CONFIG is malformed, the backend is not TensorFlow, or there are
            fewer GPUs than processes on this machine.
        SegError: the port of this process is taken, or another cannot be reached.
    """
    cluster = Cluster.from_environment()
    count = len(cluster.workers)
    if count < 2:
        return ProcessGroup()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"{TF_CONFIG} names {count} processes, which train together on the "
            f"TensorFlow backend only. Received: {keras.backend.backend()}."
        )
    from seglib.distributed.tensorflow_group import connect

    return connect(cluster)
