"""Lightning, where it is installed; every module that needs it imports it from here."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gasl.errors import MissingExtraError

try:
    import lightning.pytorch as lightning
except ImportError as error:
    raise MissingExtraError(f'training needs {error.name}; pip install "gasl[train]"') from error

__all__ = ["lightning", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's remarks on devices and its tips out of the output; warnings and errors come through.

    But for three warnings that say nothing to a user: on how Lightning itself calls PyTorch, that the folder of the
    checkpoints has a checkpoint, which is why a run is resumed, and that the folder was moved in between.

    Example:
        >>> with quiet():
        ...     logging.getLogger("lightning.pytorch").isEnabledFor(logging.INFO)
        False
    """
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty", UserWarning)
            warnings.filterwarnings("ignore", r"The dirpath has changed from ", UserWarning)
            yield
    finally:
        logger.setLevel(before)
