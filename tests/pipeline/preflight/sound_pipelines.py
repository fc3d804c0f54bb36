# ruff: noqa: T201 what a component prints is its log
"""Pipelines with whatever KFP has, and without defects; as small_pipelines.py."""

import sys
from typing import NamedTuple, Optional

from kfp import compiler, dsl, kubernetes

IMAGE = f"registry.example/small@sha256:{'b' * 64}"
NOTHING_INSTALLED = {"base_image": IMAGE, "install_kfp_package": False}


@dsl.component(**NOTHING_INSTALLED)
def flip() -> str:
    import random

    return random.choice(["a", "b"])


@dsl.component(**NOTHING_INSTALLED)
def say(text: str) -> str:
    return text


@dsl.component(**NOTHING_INSTALLED)
def take(text: str, number: int = 1):
    print(text, number)


@dsl.component(**NOTHING_INSTALLED)
def take_all(texts: list[str]):
    print(texts)


@dsl.component(**NOTHING_INSTALLED)
def make(data: dsl.Output[dsl.Dataset]):
    with open(data.path, "w") as file:  # noqa: PTH123
        file.write("x")


@dsl.component(**NOTHING_INSTALLED)
def use(data: dsl.Input[dsl.Dataset]):
    print(data.path)


@dsl.component(**NOTHING_INSTALLED)
def use_if_there(
    data: Optional[dsl.Input[dsl.Dataset]] = None,  # noqa: UP045 kfp knows no other
    text: Optional[str] = None,  # noqa: UP045
):
    print(data, text)


@dsl.component(**NOTHING_INSTALLED)
def splits() -> list[str]:
    return ["a"]


@dsl.component(**NOTHING_INSTALLED)
def end(status: dsl.PipelineTaskFinalStatus, text: str = ""):
    print(status, text)


@dsl.component(**NOTHING_INSTALLED)
def scopes(options: dict) -> NamedTuple("Pair", [("a", str), ("b", int)]):
    from collections import namedtuple

    class Inner:
        constant = 3

        def method(self):
            return self.constant

    Pair = namedtuple("Pair", ["a", "b"])  # noqa: PYI024
    sums = lambda start: [start + i for i in range(3)]  # noqa: E731
    try:
        print(__name__, {key: value for key, value in options.items() if value})
    except Exception as error:
        raise ValueError(str(error)) from error
    return Pair("", Inner().method() + sum(sums(1)))


@dsl.container_component
def container(text: str, out: dsl.OutputPath(str), more: Optional[str] = None):  # noqa: UP045
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-c"],
        args=[
            dsl.ConcatPlaceholder(["--text=", text]),
            dsl.IfPresentPlaceholder(input_name="more", then=["--more", more]),
            out,
        ],
    )


@dsl.pipeline
def inner(text: str) -> str:
    return say(text=text).output


@dsl.pipeline
def one_of() -> str:
    flipped = flip()
    with dsl.If(flipped.output == "a"):
        first = say(text="1")
    with dsl.Elif(flipped.output == "b"):
        second = say(text="2")
    with dsl.Else():
        third = say(text="3")
    chosen = dsl.OneOf(first.output, second.output, third.output)
    take(text=chosen)
    return chosen


@dsl.pipeline
def collected():
    with dsl.ParallelFor(["a", "b"]) as item:
        said = say(text=item)
    take_all(texts=dsl.Collected(said.output))


@dsl.pipeline
def loops(
    pairs: list[dict[str, str]] = [{"p": "1", "q": "2"}],  # noqa: B006
    words: list = ["x"],  # noqa: B006
):
    with dsl.ParallelFor(pairs) as pair:  # noqa: SIM117
        with dsl.ParallelFor([{"a": "1", "b": ["2", "3"]}]) as item:
            take(text=pair.p)
            take(text=item.a)
            with dsl.ParallelFor(item.b) as part:
                take(text=part)
    with dsl.ParallelFor(words) as word:  # noqa: SIM117
        with dsl.If(word == "x"):
            take(text=word)


@dsl.pipeline
def imported(uri: str = "gs://bucket/x"):
    found = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"k": "v"}
    )
    use(data=found.output)
    use_if_there()
    use_if_there(data=found.output, text=uri)


@dsl.pipeline
def handled():
    with dsl.ExitHandler(end(text="x")):
        with dsl.ParallelFor(splits().output) as item:
            take(text=item)
        made = make()
        use(data=made.output)
        container(text="x").after(made)
        scopes(options={"a": "b"})


@dsl.pipeline
def stored(selector: dict = {"a": "b"}):  # noqa: B006
    claim = kubernetes.CreatePVC(
        pvc_name_suffix="-x",
        access_modes=["ReadWriteOnce"],
        size="1Gi",
        storage_class_name="standard",
    )
    first = take(text="x")
    kubernetes.mount_pvc(first, pvc_name=claim.outputs["name"], mount_path="/data")
    kubernetes.add_toleration(first, key="k", operator="Exists")
    kubernetes.add_node_selector_json(first, selector)
    kubernetes.use_config_map_as_volume(first, "settings", "/settings")
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(first)
    with dsl.If(say(text="x").output == "go"):
        second = take(text="y")
        kubernetes.mount_pvc(second, pvc_name=claim.outputs["name"], mount_path="/data")
        second.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
        kubernetes.empty_dir_mount(
            second, volume_name="shm", mount_path="/dev/shm", medium="Memory"
        )


@dsl.pipeline
def registered(cpu: str = "1"):
    with dsl.If(say(text="x").output == "go"):
        task = take(text="y").set_cpu_limit(cpu)
        task.register_pipeline_channels([cpu])


@dsl.pipeline
def nested():
    take(text=inner(text="x").output)
    take(text=f"{say(text='x').output} and more")


if __name__ == "__main__":
    sound = (one_of, collected, loops, imported, handled, stored, registered, nested)
    for pipeline in sound:
        # As the other file does: the name, "=" and the codes, of which there are none.
        path = f"{sys.argv[1]}/sound-{pipeline.name}=.yaml"
        compiler.Compiler().compile(pipeline, path)
