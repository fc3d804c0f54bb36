"""The names of the environment variables that this project reads or sets."""

# A step and its run.
RUN_ID = "KFP_RUN_ID"  # the pipeline run that this process belongs to
EVENTS = "SEGLIB_EVENTS"  # the file of events that another process follows
IMAGE = "SEGLIB_IMAGE"  # the image that this process runs in
GIT_COMMIT = "GIT_COMMIT"  # the commit that the image was built from
TASK_RUN = "MLFLOW_RUN_ID"  # the MLflow run that KFP's own plugin makes for a task
# Where a training keeps its state: a folder or s3://bucket/prefix. It decides no
# result, so it is no parameter: KFP's cache key holds those, but not the environment,
# and a project that moves its checkpoints trains nothing anew.
CHECKPOINTS = "SEGLIB_CHECKPOINTS"
LOADER_THREADS = "SEGLIB_LOADER_THREADS"  # of the training; no parameter either
CACHE = "SEGLIB_CACHE"  # the folder of fetched data
MAX_PIXELS = "SEGLIB_MAX_PIXELS"  # the largest image that is decoded

# MLflow and Kubeflow Pipelines.
TRACKING_URI = "MLFLOW_TRACKING_URI"
TRACKING_USERNAME = "MLFLOW_TRACKING_USERNAME"
TRACKING_PASSWORD = "MLFLOW_TRACKING_PASSWORD"
TRACKING_TOKEN = "MLFLOW_TRACKING_TOKEN"
TRACKING = "SEGLIB_TRACKING"  # "required": a step fails if MLflow takes nothing
KFP_API = "SEGLIB_KFP_API"  # default: http://ml-pipeline.NAMESPACE:8888
KFP_UI = "SEGLIB_KFP_UI"  # where people see it, for links

# One training in several pods.
HOSTS = "SEGLIB_HOSTS"  # all pods, in the order of their index
HOST_INDEX = "SEGLIB_HOST_INDEX"  # of this pod
PORTS_FROM = "SEGLIB_PORTS_FROM"  # of a pod's first process
PROCESSES = "SEGLIB_PROCESSES"  # of each pod
ATTEMPT = "SEGLIB_ATTEMPT"  # of the job, counted from 0
RETRIES = "SEGLIB_RETRIES"  # further attempts that the job has
TRAIN_JOB = "SEGLIB_TRAIN_JOB"  # NAMESPACE/NAME, a tag of the MLflow run
TF_CONFIG = "TF_CONFIG"  # TensorFlow's own: who the processes are
