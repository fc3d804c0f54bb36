"""Several processes that train one model, one a device, behind one object.

`launch` starts them on this machine; `join` gives a process that TF_CONFIG names its
group. `ProcessGroup()` is a group of one.
"""

from seglib.distributed.launcher import join, launch, run_processes
from seglib.distributed.process_group import LostProcessError, ProcessGroup

__all__ = ["LostProcessError", "ProcessGroup", "join", "launch", "run_processes"]
