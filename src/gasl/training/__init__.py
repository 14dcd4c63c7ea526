"""Training with Lightning, which is imported when the first name that needs it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gasl.training.clipping import clip_value, clip_value_
from gasl.training.config import Hardware, TrainConfig
from gasl.training.evaluate import error_percent
from gasl.training.plateau import Plateau

if TYPE_CHECKING:
    from gasl.training.callback import SparsityCallback
    from gasl.training.classifier import Classifier
    from gasl.training.run import FitResult, fit

__all__ = [
    "Classifier",
    "FitResult",
    "Hardware",
    "Plateau",
    "SparsityCallback",
    "TrainConfig",
    "clip_value",
    "clip_value_",
    "error_percent",
    "fit",
]

_LAZY = {
    "Classifier": "gasl.training.classifier",
    "FitResult": "gasl.training.run",
    "SparsityCallback": "gasl.training.callback",
    "fit": "gasl.training.run",
}


def __getattr__(name: str) -> Any:
    """The names that need Lightning, which takes seconds to import."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
