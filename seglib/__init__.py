"""Semantic segmentation from a pinned dataset to a gated, served model.

>>> import seglib
>>> seglib.load_dataset("no/such/folder")  # doctest: +IGNORE_EXCEPTION_DETAIL
Traceback (most recent call last):
seglib.errors.DatasetError: no/such/folder: no such folder. …

The names below are loaded when they are first used: importing the package itself
loads neither TensorFlow nor anything else that takes time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seglib import distributed as distributed
    from seglib import drawing as drawing
    from seglib.config import AugmentConfig as AugmentConfig
    from seglib.config import Config as Config
    from seglib.config import EvaluateConfig as EvaluateConfig
    from seglib.config import ExportConfig as ExportConfig
    from seglib.config import TrainConfig as TrainConfig
    from seglib.data.conversion.converter import convert as convert
    from seglib.data.dataset import Dataset as Dataset
    from seglib.data.fixing.fixer import fix as fix
    from seglib.data.verification.loading import load_dataset as load_dataset
    from seglib.data.verification.verifier import verify as verify
    from seglib.errors import DatasetError as DatasetError
    from seglib.errors import DivergedError as DivergedError
    from seglib.errors import RefusedError as RefusedError
    from seglib.errors import SegError as SegError
    from seglib.errors import UsageError as UsageError
    from seglib.exports.exported import ExportedModel as ExportedModel
    from seglib.inference.predictor import Predictor as Predictor
    from seglib.inference.uncertainty import predict_uncertainty as predict_uncertainty
    from seglib.models import build_custom as build_custom
    from seglib.models import build_model as build_model
    from seglib.models import transfer_weights as transfer_weights
    from seglib.models.model import SegmentationModel as SegmentationModel
    from seglib.models.model import load_model as load_model
    from seglib.registry.weights import fetch_weights as fetch_weights
    from seglib.steps.augment import augment as augment
    from seglib.steps.compare import compare_evaluations as compare_evaluations
    from seglib.steps.evaluate import evaluate as evaluate
    from seglib.steps.export import export as export
    from seglib.steps.pack import pack as pack
    from seglib.steps.plan import plan as plan
    from seglib.steps.predict import predict as predict
    from seglib.steps.train import train as train
    from seglib.steps.visualize import visualize as visualize
    from seglib.training.distillation import Distillation as Distillation

_HOMES = {
    "AugmentConfig": "seglib.config",
    "Config": "seglib.config",
    "Dataset": "seglib.data.dataset",
    "DatasetError": "seglib.errors",
    "Distillation": "seglib.training.distillation",
    "DivergedError": "seglib.errors",
    "EvaluateConfig": "seglib.config",
    "ExportConfig": "seglib.config",
    "ExportedModel": "seglib.exports.exported",
    "Predictor": "seglib.inference.predictor",
    "RefusedError": "seglib.errors",
    "SegError": "seglib.errors",
    "SegmentationModel": "seglib.models.model",
    "TrainConfig": "seglib.config",
    "UsageError": "seglib.errors",
    "augment": "seglib.steps.augment",
    "build_custom": "seglib.models",
    "build_model": "seglib.models",
    "compare_evaluations": "seglib.steps.compare",
    "convert": "seglib.data.conversion.converter",
    "distributed": "seglib.distributed",
    "drawing": "seglib.drawing",
    "evaluate": "seglib.steps.evaluate",
    "export": "seglib.steps.export",
    "fetch_weights": "seglib.registry.weights",
    "fix": "seglib.data.fixing.fixer",
    "load_dataset": "seglib.data.verification.loading",
    "load_model": "seglib.models.model",
    "pack": "seglib.steps.pack",
    "plan": "seglib.steps.plan",
    "predict": "seglib.steps.predict",
    "predict_uncertainty": "seglib.inference.uncertainty",
    "train": "seglib.steps.train",
    "transfer_weights": "seglib.models",
    "verify": "seglib.data.verification.verifier",
    "visualize": "seglib.steps.visualize",
}
_IMPORT_KERAS = (  # the beginnings of homes that do
    *("seglib.exports", "seglib.inference", "seglib.models", "seglib.training"),
    *("seglib.steps.e", "seglib.steps.plan", "seglib.steps.predict"),
    "seglib.steps.train",
)
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seglib' has no attribute {name!r}")
    if _HOMES[name].startswith(_IMPORT_KERAS):
        from seglib.noise import load_backend  # TensorFlow's own lines are left out

        load_backend()
    module = importlib.import_module(_HOMES[name])
    return module if module.__name__ == f"seglib.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
