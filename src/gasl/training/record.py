"""The callbacks of a run of ours: the schedule, and the history that is written after each epoch."""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gasl.data import Batches
from gasl.files.whole import whole_file
from gasl.training.config import TrainConfig
from gasl.training.plateau import Plateau
from gasl.training.shell import lightning

__all__ = ["History", "Schedule", "cycled", "decayed", "write_table"]


def write_table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes rows as CSV, whole or not at all; a column for each name that any row has.

    Args:
        path: The file.
        rows: Name to number; a name that a row lacks leaves its cell empty.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "history.csv"
        >>> write_table(path, [{"epoch": 0}, {"epoch": 1, "val_error": 2.5}])
        >>> path.read_text().split()
        ['epoch,val_error', '0,', '1,2.5']
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def decayed(config: TrainConfig, epoch: int) -> float:
    """What the learning rate of an epoch is multiplied with in a linear decay: min(1, (E - epoch) / (E - from)).

    Args:
        config: Gives E, ``epochs``, and ``decay_from``.
        epoch: Counted from 0.

    Returns:
        1 until ``decay_from``, then less by the same amount in each epoch; it would be 0 in the one after the last.

    Example:
        >>> [decayed(TrainConfig(epochs=4, decay_from=1, drop_after=None), epoch) for epoch in range(4)]
        [1.0, 1.0, 0.6666666666666666, 0.3333333333333333]
    """
    if config.decay_from is None:
        return 1.0
    return min(1.0, (config.epochs - epoch) / (config.epochs - config.decay_from))


def cycled(part: float, step: int, steps: int) -> float:
    """What the learning rate of an optimizer step is multiplied with in one cycle: up to 1 in a line, to 0 in another.

    Args:
        part: p, of the steps that belong to the rise.
        step: s, counted from 0.
        steps: S, all of them.

    Returns:
        min((s + 1) / (p S), (S - s) / (S - p S)), at most 1.

    Example:
        >>> [round(cycled(0.5, step, 4), 2) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    rise = part * steps
    return min(1.0, (steps - step) / (steps - rise), (step + 1) / rise if rise else 1.0)


class Schedule(lightning.Callback):
    """Sets the epoch of the batches, the learning rate of a decay or cycle, and from ``val_error`` drops and the stop.

    Lightning steps its own plateau schedulers after the checkpoint of the epoch is written, so that a resumed run
    would miss one step; this callback acts before it.

    Args:
        config: Gives ``epochs``, ``decay_from``, ``one_cycle``, ``drop_after``, ``drop_factor``, ``stop_after`` and
            ``watch_from``.

    Example:
        >>> Schedule(TrainConfig(drop_after=5)).plateau.drop_after
        5
    """

    def __init__(self, config: TrainConfig) -> None:
        self.plateau = Plateau(config.drop_after, config.stop_after)
        self._config = config

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Does not train on where a run had already stopped."""
        trainer.should_stop = self.plateau.stopped

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tells the batches which epoch this is, so that a resumed run sees the images in the same order."""
        assert isinstance(trainer.train_dataloader, Batches)
        trainer.train_dataloader.set_epoch(trainer.current_epoch)
        if self._config.decay_from is not None:
            _scale_lr(trainer, decayed(self._config, trainer.current_epoch))

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Sets the learning rate of a cycle."""
        if self._config.one_cycle is not None:
            assert isinstance(trainer.train_dataloader, Batches)
            steps = self._config.epochs * len(trainer.train_dataloader)
            _scale_lr(trainer, cycled(self._config.one_cycle, trainer.global_step, steps))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Acts on the epoch's validation error."""
        if trainer.current_epoch < (self._config.watch_from or 0):
            return
        action = self.plateau.update(float(trainer.callback_metrics["val_error"]))
        if action == "drop":
            for optimizer in trainer.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] *= self._config.drop_factor
        elif action == "stop":
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return self.plateau.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the counts."""
        self.plateau.load_state_dict(state_dict)


def _scale_lr(trainer: lightning.Trainer, factor: float) -> None:
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            # Kept with the optimizer's state, so that a resumed run knows where the schedule began.
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor


class History(lightning.Callback):
    """Keeps one row of numbers for each epoch: all that was logged, the learning rate, and the seconds it took.

    The whole table is written anew after each epoch, so a resumed run continues the same file.

    Args:
        path: The CSV file.

    Example:
        >>> History(Path("history.csv")).rows
        []
    """

    def __init__(self, path: Path) -> None:
        self.rows: list[dict[str, float]] = []
        self._path = path
        self._begun = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Starts the clock."""
        self._begun = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the epoch's row."""
        row = {
            "epoch": trainer.current_epoch,
            "seconds": round(time.perf_counter() - self._begun, 3),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        # Metrics are kept in single precision, which has no more digits than these.
        row |= {name: float(f"{float(value):.7g}") for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append(row)
        if trainer.is_global_zero:
            write_table(self._path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the rows."""
        self.rows = list(state_dict["rows"])
