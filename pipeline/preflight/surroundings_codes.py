"""S2xx: what a document's surroundings can lack; `codes.py` says what a code is."""

from pipeline.preflight.kinds import ERROR, WARNING, Code

SURROUNDINGS_CODES = {
    "S201": Code(
        ERROR,
        "no Kubernetes cluster",
        "Without its API nothing of the cluster can be looked at.",
        "Check `kubectl cluster-info` and KUBECONFIG; is the VPN up?",
    ),
    "S202": Code(
        ERROR,
        "the Kubernetes API refuses",
        "The credentials of the kubeconfig are unknown there, or have run out.",
        "Log in again (`kubectl auth whoami`), or choose another --context.",
    ),
    "S203": Code(
        ERROR,
        "no such namespace",
        "Runs, secrets and claims live in it.",
        "Create it, or name another with --namespace.",
    ),
    "S204": Code(
        ERROR,
        "no such service account",
        "Pods of a run that names it are never created.",
        "Create it (deploy/), or name another with --service-account.",
    ),
    "S205": Code(
        WARNING,
        "not allowed to look",
        "The account in use may not read this, so nothing is known of it.",
        "Ask somebody who may, or for the right to `get` it.",
    ),
    "S210": Code(
        ERROR,
        "no such secret",
        "A pod that refers to it waits in CreateContainerConfigError, for ever.",
        "Create it: `kubectl create secret generic NAME --from-literal=KEY=…`.",
    ),
    "S211": Code(
        ERROR,
        "a secret lacks a key",
        "A pod that refers to it waits in CreateContainerConfigError, for ever.",
        "Add the key to the secret, or correct its name in the document.",
    ),
    "S212": Code(
        ERROR,
        "no such config map",
        "A pod that refers to it waits in CreateContainerConfigError, for ever.",
        "Create it: `kubectl create configmap NAME --from-literal=KEY=…`.",
    ),
    "S213": Code(
        ERROR,
        "a config map lacks a key",
        "A pod that refers to it waits in CreateContainerConfigError, for ever.",
        "Add the key to the config map, or correct its name in the document.",
    ),
    "S214": Code(
        ERROR,
        "no such volume claim",
        "A pod that mounts it is never scheduled.",
        "Create the PersistentVolumeClaim, best with the Job that makes it writable "
        "(deploy/base/cache.yaml), or name another in configs/cluster.yaml.",
    ),
    "S215": Code(
        ERROR,
        "a volume claim that has lost its volume",
        "A pod that mounts it is never scheduled.",
        "Look at `kubectl describe pvc`, and restore the volume or make a new claim.",
    ),
    "S216": Code(
        WARNING,
        "Argo does not repeat a step whose pod is deleted",
        "Drained nodes, autoscalers and spot machines delete pods: the run fails, "
        "whatever `retries` says, because KFP 2.17 leaves the policy to Argo's "
        "configuration.",
        "Set the retryPolicy of templateDefaults in workflow-controller-configmap "
        "(docs/cluster.md, “What is repeated”).",
    ),
    "S220": Code(
        ERROR,
        "no node fits",
        "The pod stays Pending until such a node appears.",
        "Change selector, tolerations or amounts, or add such a node. Where nodes are "
        "made on demand, this is expected: --ignore S220.",
    ),
    "S230": Code(
        ERROR,
        "Kubeflow Pipelines does not answer",
        "Nothing can be submitted.",
        "Check the address; without an ingress: `kubectl port-forward -n kubeflow "
        "svc/ml-pipeline-ui 8080:80` and --host http://127.0.0.1:8080.",
    ),
    "S231": Code(
        ERROR,
        "Kubeflow Pipelines refuses",
        "The server wants a login, or another one.",
        "Give a token of the server's kind in KFP_TOKEN.",
    ),
    "S232": Code(
        WARNING,
        "the server is older than the SDK that compiled the document",
        "Settings that the server does not know are dropped without a word.",
        "Upgrade Kubeflow Pipelines, or compile with the SDK of its version.",
    ),
    "S240": Code(
        ERROR,
        "the registry has no such image",
        "Pods wait in ImagePullBackOff.",
        "Push the image, and compile with the digest that the push printed.",
    ),
    "S241": Code(
        ERROR,
        "the registry refuses",
        "Without the right to pull, pods wait in ImagePullBackOff.",
        "`docker login` here; in the cluster an imagePullSecret.",
    ),
    "S242": Code(
        ERROR,
        "the registry does not answer",
        "It cannot be said whether the image can be pulled.",
        "Check the image's registry, and the network.",
    ),
    "S250": Code(
        ERROR,
        "MLflow does not answer",
        "Runs are not tracked; what steps could not send waits in their outputs.",
        "Check MLFLOW_TRACKING_URI; is the server up?",
    ),
    "S251": Code(
        ERROR,
        "MLflow refuses the address under which it is asked",
        "MLflow answers 403 “Invalid Host header” unless the name is on its list; "
        "behind a Kubernetes service it is not by default.",
        "Start it with --allowed-hosts NAME (or MLFLOW_SERVER_ALLOWED_HOSTS), the "
        "name and the port as they are in MLFLOW_TRACKING_URI.",
    ),
    "S252": Code(
        ERROR,
        "MLflow refuses",
        "The server wants a login, or another one.",
        "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN.",
    ),
    "S253": Code(
        WARNING,
        "MLflow's version is not the client's",
        "Servers of an older major version lack LoggedModels and aliases; a newer one "
        "may want its own client.",
        "Run server and client of the same major version.",
    ),
    "S260": Code(
        ERROR,
        "S3 cannot be read",
        "Datasets, checkpoints and exports are there.",
        "Check address and credentials; `aws s3 ls` with the same environment.",
    ),
    "S261": Code(
        ERROR,
        "S3 cannot be written",
        "Checkpoints and exports would be lost.",
        "Give the credentials s3:PutObject and s3:DeleteObject on this place.",
    ),
    "S262": Code(
        ERROR,
        "S3 does not know conditional writes",
        "Of two writers at once one would undo the other's work.",
        "Use a store that knows If-None-Match: S3, or a recent MinIO, Ceph or "
        "SeaweedFS.",
    ),
    "S263": Code(
        WARNING,
        "S3 does not delete",
        "Checkpoints of finished trainings stay for ever.",
        "Give the credentials s3:DeleteObject, or the bucket a lifecycle rule.",
    ),
    "S270": Code(
        ERROR,
        "the dataset cannot be listed",
        "The first step would fail in the same way.",
        "`seglib data push-check` says more.",
    ),
    "S271": Code(
        ERROR,
        "the remote lacks files of the dataset",
        "The first step fails when it gets to them.",
        "`dvc push` from a machine that has the data.",
    ),
    "S290": Code(
        ERROR,
        "a check did not end in time",
        "Something accepts connections and does not answer.",
        "Try again with a longer --timeout.",
    ),
}
