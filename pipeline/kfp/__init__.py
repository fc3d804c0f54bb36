"""The pipeline on a Kubernetes cluster, through the API of Kubeflow Pipelines.

`connection` reaches it, `submission` starts runs, `runs`, `watching` and `logs` look at
them, `schedules` makes recurring ones. Every failure is a `ClusterError`.
"""
