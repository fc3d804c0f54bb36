"""Write augmented copies of the training images as a few large files."""

from kfp.dsl import HTML, Dataset, Input, Output

from components.base import component


@component
def augment_data(
    manifest: Input[Dataset],
    code_version: str,
    policy: str,
    copies: int,
    num_shards: int,
    augment_seed: int,
    channels: int,
    shards: Output[Dataset],
    preview: Output[HTML],
) -> None:
    """Augment the training split; seeded, so the same input gives the same shards.

    Args:
        manifest: of the verified dataset; only its training split is fetched.
        code_version: changes with the code, so that its outputs are not reused.
        shards: encoded pairs, the originals and their copies, and shards.json.
        preview: originals beside their copies.
    """
    given = locals()
    from seglib.tasks import augment_task as task

    task.augment_data(**given)
