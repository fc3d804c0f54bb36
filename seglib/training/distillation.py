"""Distillation: a small network learns from a trained one, beside the masks."""

from dataclasses import dataclass
from typing import Any

import keras

from seglib.errors import UsageError
from seglib.models.layers.upsampling import resize_bilinear
from seglib.models.model import SegmentationModel, opened_model

_GRID = 8  # cells along each axis between which similarities are compared


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A trained teacher of the same classes, and what the student learns from it.

    Two terms are added to the loss on the masks: the Kullback–Leibler divergence of
    the student's class probabilities from the teacher's, and the mean squared
    difference of the cosine similarities between all pairs of cells of the deepest
    features, whose widths may differ.

    Args:
        teacher: a model, or the folder of one; it stays as it is.
        logits_weight: of the divergence.
        temperature: by which both softmaxes are softened, > 0.
        pairwise_weight: of the similarities; it needs encoders.

    Reference: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural
    Network", arXiv:1503.02531; Liu et al. 2019, "Structured Knowledge Distillation for
    Semantic Segmentation", arXiv:1903.04197 (pixel-wise and pair-wise distillation).
    """

    teacher: SegmentationModel
    logits_weight: float = 1.0
    temperature: float = 2.0
    pairwise_weight: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "teacher", opened_model(self.teacher))


class Distiller(keras.Model):
    """A model that answers as its student, and adds the losses of a `Distillation`.

    Input: images (N, H, W, C) in 0 … 255; output: the student's logits, float32
    (N, H, W, num_classes), and its auxiliary ones, if it has any.

    Raises:
        UsageError: teacher and student differ in classes or channels, or the pairwise
            term is wanted of a network without an encoder.
    """

    def __init__(self, student: keras.Model, options: Distillation):
        super().__init__()
        teacher = options.teacher.network
        logits, *auxiliary = student.outputs
        if logits.shape[-1] != teacher.output.shape[-1]:
            raise UsageError(
                "Teacher and student must answer with the same classes. Received: "
                f"{teacher.output.shape[-1]} and {logits.shape[-1]}."
            )
        if student.input.shape[-1] != teacher.input.shape[-1]:
            raise UsageError(
                "Teacher and student must see the same inputs. Received: "
                f"{teacher.input.shape[-1]} and {student.input.shape[-1]} channels."
            )
        pairwise = options.pairwise_weight > 0
        self.student = _with_features(student, pairwise)
        self.teacher = _with_features(keras.models.clone_model(teacher), pairwise)
        self.teacher.set_weights(teacher.get_weights())
        self.teacher.trainable = False
        self._options, self._auxiliary = options, len(auxiliary)

    def call(self, images: Any, *, training: bool = False) -> Any:
        # A network of one output returns a tensor, not a list of one.
        answers = self.student(images, training=training)
        logits, *others = keras.tree.flatten(answers)
        auxiliary, features = others[: self._auxiliary], others[self._auxiliary :]
        if training:
            answers = self.teacher(images, training=False)
            known, *known_features = keras.tree.flatten(answers)
            loss = _divergence(known, logits, self._options.temperature)
            self.add_loss(self._options.logits_weight * loss)
            if features:
                difference = _similarities(features[0]) - _similarities(
                    known_features[0]
                )
                loss = keras.ops.mean(keras.ops.square(difference))
                self.add_loss(self._options.pairwise_weight * loss)
        return [logits, *auxiliary] if auxiliary else logits


def _divergence(known: Any, logits: Any, temperature: float) -> Any:
    """KL divergence per pixel of the softened probabilities, times temperature².

    (That keeps the size of the gradients, Hinton et al.)
    """
    log_known = keras.ops.log_softmax(known / temperature)
    log_student = keras.ops.log_softmax(logits / temperature)
    each = keras.ops.exp(log_known) * (log_known - log_student)
    return keras.ops.mean(keras.ops.sum(each, axis=-1)) * temperature**2


def _with_features(network: keras.Model, wanted: bool) -> keras.Model:
    """The same network, with its encoder's deepest features as a second output."""
    outputs = list(network.outputs)
    if wanted:
        encoder = next((x for x in network.layers if x.name == "encoder"), None)
        if encoder is None:
            raise UsageError(
                "`pairwise_weight` needs networks with a layer named `encoder`. "
                "Set it to 0 to distil the logits alone."
            )
        # Its outputs inside this network, in the order of the levels. Keras has no
        # public name for them.
        inside = encoder._inbound_nodes[0]  # noqa: SLF001
        outputs.append(inside.output_tensors[-1])
    return keras.Model(network.inputs, outputs)


def _similarities(features: Any) -> Any:
    """Cosine similarity of each cell to each: (N, cells, cells)."""
    x = resize_bilinear(keras.ops.cast(features, "float32"), _GRID, _GRID)
    x = keras.ops.reshape(x, (-1, _GRID * _GRID, features.shape[-1]))
    x = keras.ops.normalize(x, axis=-1)
    return keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))
