"""KFP's compiler without its client."""

import os
import sys


def import_kfp() -> None:
    """Import kfp without its client, which loads all of Kubernetes' API: 2 s less.

    KFP has this switch for its own use inside of a step.
    """
    if "kfp" not in sys.modules:
        os.environ["_KFP_RUNTIME"] = "true"
        import kfp  # noqa: F401

        del os.environ["_KFP_RUNTIME"]
