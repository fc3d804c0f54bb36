"""`python -m seglib.compat.keras_segmentation`: its commands, with its options."""

from pathlib import Path
from typing import Annotated

import typer

from seglib.cli.console import set_up_logging
from seglib.cli.terminal import console, run_commands
from seglib.errors import DatasetError

app = typer.Typer(
    name="keras_segmentation",
    help="The commands of keras_segmentation, by seglib.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Images = Annotated[str, typer.Option("--images_path", help="Folder of images.")]
Masks = Annotated[str, typer.Option("--segs_path", help="Folder of annotations.")]
Classes = Annotated[int, typer.Option("--n_classes", min=2)]
Checkpoints = Annotated[
    str, typer.Option("--checkpoints_path", help="Folder of the model.")
]


@app.command()
def train(
    model_name: Annotated[str, typer.Option("--model_name")],
    train_images: Annotated[str, typer.Option("--train_images")],
    train_annotations: Annotated[str, typer.Option("--train_annotations")],
    n_classes: Classes,
    input_height: Annotated[int | None, typer.Option("--input_height")] = None,
    input_width: Annotated[int | None, typer.Option("--input_width")] = None,
    not_verify_dataset: Annotated[bool, typer.Option("--not_verify_dataset")] = False,
    checkpoints_path: Annotated[
        str | None,
        typer.Option("--checkpoints_path", help="Folder that gets the model."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    batch_size: Annotated[int, typer.Option("--batch_size", min=1)] = 2,
    validate: Annotated[bool, typer.Option("--validate")] = False,
    val_images: Annotated[str, typer.Option("--val_images")] = "",
    val_annotations: Annotated[str, typer.Option("--val_annotations")] = "",
    val_batch_size: Annotated[
        int, typer.Option("--val_batch_size", help="Without effect.")
    ] = 2,
    load_weights: Annotated[str | None, typer.Option("--load_weights")] = None,
    auto_resume_checkpoint: Annotated[
        bool, typer.Option("--auto_resume_checkpoint")
    ] = False,
    steps_per_epoch: Annotated[int, typer.Option("--steps_per_epoch", min=1)] = 512,
    optimizer_name: Annotated[
        str, typer.Option("--optimizer_name", help="adam, adamw or sgd.")
    ] = "adam",
) -> None:
    """Train a model by its name."""
    from seglib.compat.keras_segmentation.train import train as run

    run(
        model_name,
        train_images,
        train_annotations,
        input_height=input_height,
        input_width=input_width,
        n_classes=n_classes,
        verify_dataset=not not_verify_dataset,
        checkpoints_path=checkpoints_path,
        epochs=epochs,
        batch_size=batch_size,
        validate=validate,
        val_images=val_images or None,
        val_annotations=val_annotations or None,
        val_batch_size=val_batch_size,
        auto_resume_checkpoint=auto_resume_checkpoint,
        load_weights=load_weights,
        steps_per_epoch=steps_per_epoch,
        optimizer_name=optimizer_name,
    )


@app.command()
def predict(
    checkpoints_path: Checkpoints,
    input_path: Annotated[
        str, typer.Option("--input_path", help="An image, or a folder of images.")
    ],
    output_path: Annotated[
        str, typer.Option("--output_path", help="File, or folder, of the pictures.")
    ],
) -> None:
    """Predict an image or a folder of images."""
    from seglib.compat.keras_segmentation.predict import predict as predict_one
    from seglib.compat.keras_segmentation.predict import predict_multiple

    if Path(input_path).is_dir():
        predict_multiple(
            inp_dir=input_path, out_dir=output_path, checkpoints_path=checkpoints_path
        )
    else:
        predict_one(
            inp=input_path, out_fname=output_path, checkpoints_path=checkpoints_path
        )
    console.print(f"pictures: {output_path}")


@app.command("predict_video")
def predict_video(
    checkpoints_path: Checkpoints,
    input_file: Annotated[str, typer.Option("--input", help="A video file.")],
    output_file: Annotated[str, typer.Option("--output_file", help="An MP4 file.")],
    display: Annotated[
        bool, typer.Option("--display", help="Refused: there is no window.")
    ] = False,
) -> None:
    """Predict a video."""
    from seglib.compat.keras_segmentation.predict import predict_video as run

    run(
        inp=input_file,
        output=output_file,
        display=display,
        checkpoints_path=checkpoints_path,
    )
    console.print(f"video: {output_file}")


@app.command("evaluate_model")
def evaluate_model(
    images_path: Images, segs_path: Masks, checkpoints_path: Checkpoints
) -> None:
    """Print the scores of a model."""
    from seglib.compat.keras_segmentation.predict import evaluate

    scores = evaluate(
        inp_images_dir=images_path,
        annotations_dir=segs_path,
        checkpoints_path=checkpoints_path,
    )
    console.print(str(scores))


@app.command("verify_dataset")
def verify_dataset(images_path: Images, segs_path: Masks, n_classes: Classes) -> None:
    """Look at every file of a dataset; exit status 1 if it cannot be used."""
    from seglib.compat.keras_segmentation.data_utils import data_loader

    if not data_loader.verify_segmentation_dataset(images_path, segs_path, n_classes):
        raise DatasetError(f"{images_path}, {segs_path}: the dataset cannot be used.")
    console.print("Dataset verified!")


@app.command("visualize_dataset")
def visualize_dataset(
    images_path: Images,
    segs_path: Masks,
    n_classes: Classes,
    do_augment: Annotated[bool, typer.Option("--do_augment")] = False,
    out: Annotated[str, typer.Option(help="Picture, page or folder.")] = "dataset.png",
) -> None:
    """Draw images and their annotations into a picture."""
    from seglib.compat.keras_segmentation.data_utils import visualize_dataset as module

    place = module.visualize_segmentation_dataset(
        images_path, segs_path, n_classes, do_augment=do_augment, out=out
    )
    console.print(f"picture: {place}")


if __name__ == "__main__":
    set_up_logging()
    run_commands(app)
