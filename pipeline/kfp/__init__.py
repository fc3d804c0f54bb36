"""The pipeline on a Kubernetes cluster, through the API of Kubeflow Pipelines.

`connection` reaches it, `submission` starts runs, `runs`, `watching` and `logs` look at
them, `schedules` keeps recurring ones. Whatever goes wrong is a `ClusterError`.
"""
