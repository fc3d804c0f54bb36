"""Small pipelines, most with one defect: `python small_pipelines.py FOLDER` compiles.

A process of its own does it: kfp keeps whatever it has compiled.
"""

import sys
from typing import NamedTuple

from kfp import compiler, dsl, kubernetes

SUFFIX = "x"
IMAGE = f"registry.example/small@sha256:{'b' * 64}"
NOTHING_INSTALLED = {"base_image": IMAGE, "install_kfp_package": False}


@dsl.component(**NOTHING_INSTALLED)
def ask(text: str) -> NamedTuple("Answer", [("decision", str)]):
    return (text,)


@dsl.component(**NOTHING_INSTALLED)
def say(text: str) -> str:
    return text


@dsl.component(**NOTHING_INSTALLED)
def say_all(text: str) -> list[str]:
    return [text]


@dsl.component(**NOTHING_INSTALLED)
def take(text: str, number: int = 1):
    pass


@dsl.component(**NOTHING_INSTALLED)
def take_all(options: dict, sizes: list):
    pass


@dsl.component(**NOTHING_INSTALLED)
def make(data: dsl.Output[dsl.Dataset]):
    pass


@dsl.component(**NOTHING_INSTALLED)
def use(data: dsl.Input[dsl.Dataset]):
    pass


@dsl.component(**NOTHING_INSTALLED)
def use_a_constant(paths: list[str]) -> str:
    import os

    def join(path: str) -> str:
        return os.path.join(SUFFIX, path)  # noqa: PTH118

    return ",".join(join(path) for path in paths if isinstance(path, str))


@dsl.component(base_image=IMAGE, packages_to_install=["requests>=2", "numpy==2.2.0"])
def install():
    pass


@dsl.pipeline
def inner(data: dsl.Dataset):
    use(data=data)


@dsl.pipeline
def named_output():
    with dsl.If(ask(text="x").outputs["decision"] == "go"):
        take(text="y")


@dsl.pipeline
def named_output_from_outside():
    decision = ask(text="x").outputs["decision"]
    with dsl.ExitHandler(take(text="end")):  # noqa: SIM117 one is in the other
        with dsl.If(say(text="x").output == "go"):
            with dsl.If(decision == "go"):
                take(text="y")


@dsl.pipeline
def unnamed_output():
    with dsl.If(say(text="x").output == "go"):
        take(text="y")


@dsl.pipeline
def parameter_in_condition(go: str = "a"):
    with dsl.If(go == "go"):
        take(text="y")


@dsl.pipeline
def output_in_loop():
    said = say(text="x")
    with dsl.ParallelFor(["a", "b"]) as item:
        take(text=item)
        take(text=said.output)


@dsl.pipeline
def output_made_in_loop():
    with dsl.ParallelFor(["a"], parallelism=1) as item:
        said = say(text=item)
        take(text=said.output)


@dsl.pipeline
def loop_over_output():
    with dsl.ParallelFor(say_all(text="x").output) as item:
        take(text=item)


@dsl.pipeline
def loop_item_name(items: list[dict[str, str]] = [{"name": "x"}]):  # noqa: B006
    with dsl.ParallelFor(items) as item:
        take(text=item.name)


@dsl.pipeline
def loop_item_place(items: list[dict[str, str]] = [{"place": "x"}]):  # noqa: B006
    with dsl.ParallelFor(items) as item:
        take(text=item.place)


@dsl.pipeline
def numbers():
    take_all(options={"a": "b"}, sizes=[1, 2])


@dsl.pipeline
def texts():
    take_all(options={"a": "b"}, sizes=["1"])


@dsl.pipeline
def resources_by_parameter(cpu: str = "1"):
    with dsl.If(say(text="x").output == "go"):
        take(text="y").set_cpu_limit(cpu)


@dsl.pipeline
def name_of_a_secret(secret: str = "database"):
    task = take(text="y")
    kubernetes.use_secret_as_env(task, secret, {"k": "DB_PASSWORD"})


@dsl.pipeline
def placeholder_in_env():
    take(text="y").set_env_variable("RUN", dsl.PIPELINE_JOB_ID_PLACEHOLDER)


@dsl.pipeline
def run_id():
    take(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)


@dsl.pipeline
def run_id_uncached():
    take(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER).set_caching_options(enable_caching=False)


@dsl.pipeline
def commit(git_sha: str):
    take(text=git_sha)


@dsl.pipeline
def commit_uncached(git_sha: str):
    take(text=git_sha).set_caching_options(enable_caching=False)


@dsl.pipeline
def nested():
    inner(data=make().output)


@dsl.pipeline
def constant_of_a_module():
    use_a_constant(paths=["a"])


@dsl.pipeline
def packages():
    install()


@dsl.pipeline
def password(password: str = "correct horse"):
    take(text=password)


# What is to be found in each.
CODES = {
    named_output: ["P140"],
    named_output_from_outside: ["P140"],
    unnamed_output: [],
    parameter_in_condition: [],
    output_in_loop: ["P141"],
    output_made_in_loop: [],
    loop_over_output: [],
    loop_item_name: ["P142"],
    loop_item_place: [],
    numbers: ["P143"],
    texts: [],
    resources_by_parameter: ["P130"],
    name_of_a_secret: [],
    placeholder_in_env: ["P144"],
    run_id: ["P150"],
    run_id_uncached: [],
    commit: ["P151"],
    commit_uncached: [],
    nested: ["P146"],
    constant_of_a_module: ["P147"],
    packages: ["P121"],
    password: ["P110"],
}

if __name__ == "__main__":
    for pipeline, codes in CODES.items():
        name = f"{pipeline.name}={'+'.join(codes)}.yaml"
        compiler.Compiler().compile(pipeline, f"{sys.argv[1]}/{name}")
