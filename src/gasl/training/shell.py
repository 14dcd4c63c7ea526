"""Lightning, where it is installed; every module that needs it imports it from here."""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gasl.errors import MissingExtraError

try:
    import lightning.pytorch as lightning
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.utilities.exceptions import SIGTERMException
except ImportError as error:
    raise MissingExtraError(f'training needs {error.name}; pip install "gasl[train]"') from error

__all__ = ["MisconfigurationException", "first_process", "lightning", "quiet", "told"]


def first_process() -> bool:
    """Whether this is the first of the processes that train one network, or the only one.

    Example:
        >>> first_process()
        True
    """
    return int(getattr(lightning.utilities.rank_zero_only, "rank", 0)) == 0


@contextmanager
def told() -> Iterator[None]:
    """Lets the caller know that training was broken off: Lightning ends the process as if by itself.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: With 143, as shells say it, after a termination signal.

    Example:
        >>> with told():
        ...     raise SIGTERMException
        Traceback (most recent call last):
        SystemExit: 143
    """
    try:
        yield
    except SIGTERMException as error:
        raise SystemExit(128 + signal.SIGTERM) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


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
