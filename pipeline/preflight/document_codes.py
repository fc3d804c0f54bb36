"""P1xx: what a document can have; `codes.py` says what a code is."""

from pipeline.preflight.kinds import ERROR, WARNING, Code

DOCUMENT_CODES = {
    "P101": Code(
        ERROR,
        "not a valid PipelineSpec",
        "The backend refuses the document when it is submitted, or ignores the part "
        "that it does not know.",
        "Compile it again with the SDK of the server's version.",
    ),
    "P102": Code(
        ERROR,
        "not a valid PlatformSpec",
        "Secrets, volumes and node selectors are in the second document of the file; "
        "one that cannot be read is refused, or the pods start without them.",
        "Compile it again with kfp and kfp-kubernetes of the same version.",
    ),
    "P103": Code(
        ERROR,
        "not a valid KubernetesExecutorConfig",
        "The driver reads each task's Kubernetes settings strictly; the task fails "
        "before its pod exists.",
        "Write it with kfp.kubernetes, or by its published schema.",
    ),
    "P104": Code(
        ERROR,
        "a reference that leads nowhere",
        "A component, executor or task that is named and not there makes the run fail "
        "when it gets to it, after everything before has been paid for.",
        "Compile the pipeline again; do not edit the compiled file by hand.",
    ),
    "P110": Code(
        ERROR,
        "a credential as a literal value",
        "Whoever can read the file, the run's page or the pod's specification has it, "
        "and KFP keeps every version for ever.",
        "Put it into a Secret and refer to that by name (use_secret_as_env); then "
        "change the credential: this one has been written down. Where the parameter "
        "holds the name of a Secret, call it NAME_secret_name, or say so in its "
        "description.",
    ),
    "P111": Code(
        ERROR,
        "a password in a URL",
        "URLs are logged, shown and kept; the password with them.",
        "Take user and password out of the URL, and give them by a Secret; then "
        "change the password.",
    ),
    "P112": Code(
        ERROR,
        "something in the form of an access key or token",
        "Keys of this form are found by scanners within minutes of being published.",
        "Put it into a Secret and refer to that by name; revoke this one.",
    ),
    "P113": Code(
        ERROR,
        "a private key",
        "A key in a document is no longer private.",
        "Put it into a Secret that is mounted as a file; make a new key pair.",
    ),
    "P120": Code(
        ERROR,
        "an image that is not pinned by digest",
        "A tag can be moved: two pods of a run may run different code, and the cache, "
        "which knows an image by this text alone, returns results of the old one.",
        "Name it as REPOSITORY@sha256:…; `docker buildx imagetools inspect IMAGE` "
        "prints the digest.",
    ),
    "P121": Code(
        WARNING,
        "packages are installed when the step runs, without exact versions",
        "The same document computes something else next week, and the cache does not "
        "notice.",
        "Build them into the image, or pin them: PACKAGE==VERSION.",
    ),
    "P130": Code(
        ERROR,
        "an input that its DAG does not declare",
        "A task takes an input of the DAG around it which that DAG was not given: the "
        "driver fails with “parent DAG does not have input parameter”. KFP compiles "
        "such a document where resources or names are pipeline parameters inside of "
        "ExitHandler, If or ParallelFor.",
        "Call task.register_pipeline_channels([channel]) after the setting, or use a "
        "constant.",
    ),
    "P131": Code(
        ERROR,
        "a required input that is not given",
        "The component declares the input without a default, and the task does not "
        "pass it: the step fails when it starts.",
        "Pass it, or give it a default, and compile again.",
    ),
    "P140": Code(
        ERROR,
        "a condition on a named output, which the local runner skips",
        "kfp's local runner looks for the value of dsl.If under the name “Output” "
        "only. With any other the branch does not run, and the run says success.",
        "Let the task return its one value unnamed (-> str), so that its name is "
        "Output.",
    ),
    "P141": Code(
        ERROR,
        "a task's output parameter used in the body of a loop",
        "kfp's local runner replaces it by the loop's item, silently.",
        "Take it as an artifact, or put the loop into a nested pipeline that receives "
        "it as an input.",
    ),
    "P142": Code(
        ERROR,
        "a loop item's key called `name`",
        "In dsl.ParallelFor `item.name` is the channel's own name: the step gets that "
        "text instead of the value.",
        "Rename the key, or pass the whole item as a dict.",
    ),
    "P143": Code(
        WARNING,
        "whole numbers in a list or dict",
        "KFP keeps them as JSON numbers: 512 arrives as 512.0.",
        "Pass each as an int parameter, or convert them in the step.",
    ),
    "P144": Code(
        ERROR,
        "a placeholder in an environment variable",
        "KFP does not resolve placeholders there: the step sees the braces.",
        "Pass it as a parameter, or take a field of the pod "
        "(kubernetes.use_field_path_as_env).",
    ),
    "P145": Code(
        ERROR,
        "a placeholder inside of a longer text",
        "In an image, a resource or a Kubernetes name KFP's driver takes an input's "
        "value for the whole text, whatever stands around the placeholder.",
        "Make the whole value one parameter.",
    ),
    "P146": Code(
        WARNING,
        "a nested pipeline with artifact inputs",
        "kfp's local runner fails on it, so the document cannot be tried without a "
        "cluster.",
        "Keep the DAG flat: call its components directly.",
    ),
    "P147": Code(
        ERROR,
        "a component uses a name that is not in its source",
        "A component's source travels alone: constants, helpers and imports of its "
        "module stay behind. It compiles, and fails with a NameError when it runs.",
        "Import or define it inside of the component's function, or pass it as a "
        "parameter.",
    ),
    "P150": Code(
        WARNING,
        "a cached step gets what belongs to one run",
        "The run's id, name or time is part of the cache's key, so that nothing is "
        "ever reused; in a command it is not, so that a reused step has another run's.",
        "Give it by a field of the pod (kubernetes.use_field_path_as_env), which is "
        "outside of the key, or do not cache the step.",
    ),
    "P151": Code(
        WARNING,
        "a parameter whose name says that it changes with every run",
        "Times, commits and ids as parameters of a cached step make every run "
        "compute everything anew.",
        "Pass what the step depends on (a hash of data or code); the rest is for tags.",
    ),
    "P152": Code(
        WARNING,
        "a pipeline name that changes with every run",
        "The cache is kept by the pipeline's name: a new name reuses nothing.",
        "Keep the pipeline's name; put dates and versions into the run's name.",
    ),
    "P160": Code(
        WARNING,
        "no limit of CPU or memory",
        "Without a memory limit a step that grows takes its neighbours along; without "
        "requests the scheduler packs pods where they do not fit.",
        "Set them (set_cpu_limit, set_memory_limit; steps: in configs/cluster.yaml).",
    ),
    "P161": Code(
        WARNING,
        "a GPU without shared memory",
        "/dev/shm of a pod is 64 MB; loaders and NCCL die there with “bus error”.",
        "Mount a volume of medium Memory at /dev/shm (kubernetes.empty_dir_mount; "
        "shm: in configs/cluster.yaml).",
    ),
    "P162": Code(
        WARNING,
        "state is kept, but a lost pod is not started again",
        "A step that keeps checkpoints goes on where it was, if somebody starts it: "
        "nodes are drained and spot machines taken away, and their pods are deleted.",
        "Set retries (task.set_retry; retries: in configs/cluster.yaml).",
    ),
    "P163": Code(
        WARNING,
        "no timeout",
        "A step that hangs holds its node, and its GPU, until somebody looks.",
        "Set one (kubernetes.set_timeout; timeout: in configs/cluster.yaml).",
    ),
    "P164": Code(
        ERROR,
        "the container runs as root",
        "What breaks out of it is root on the node; clusters with the restricted Pod "
        "Security Standard refuse the pod.",
        "Set run_as_user to a number above 0, and run_as_non_root "
        "(kubernetes.set_security_context; security: in configs/cluster.yaml).",
    ),
    "P165": Code(
        WARNING,
        "nothing keeps the container from running as root",
        "The image's own user decides, and many images have none but root.",
        "Set run_as_non_root (kubernetes.set_security_context; security: in "
        "configs/cluster.yaml).",
    ),
    "P166": Code(
        WARNING,
        "attempts end before their time",
        "Argo counts backoff_max_duration from the start of the first attempt, and a "
        "later one ends by it, however short it has run. The SDK's default is 3600 s: "
        "a training that is disturbed after 50 minutes has ten left.",
        "Set backoff_max_duration (task.set_retry) to (retries + 1) × timeout and all "
        "pauses, or more; `python -m pipeline compile` does so.",
    ),
    "P170": Code(
        ERROR,
        "memory too small for the dataset",
        "The pod is ended (OOMKilled) once the data are in memory.",
        "Raise the step's memory limit, or make images or copies fewer or smaller.",
    ),
    "P171": Code(
        WARNING,
        "shared memory too small for the batches",
        "Loaders in processes hand batches over in /dev/shm, and die when it is full.",
        "Raise the size of /dev/shm, or lower batch_size.",
    ),
    "P172": Code(
        ERROR,
        "disk too small for the dataset",
        "The pod is evicted, or fails with “no space left on device”.",
        "Raise the volume's size, or keep the cache on a claim that is large enough.",
    ),
}
