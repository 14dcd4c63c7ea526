"""How a method spreads the norms of the groups over a training: what the paper's Figure 1 is about."""

from typing import Any

import torch
from torch import Tensor

from gasl.groups.units import UnitGroups
from gasl.training.callback import SparsityCallback
from gasl.training.shell import lightning

__all__ = ["DECILES", "NormSpread"]

DECILES = tuple(i / 10 for i in range(11))


class NormSpread(lightning.Callback):
    """Keeps the deciles of each axis' group norms: at the start, and after every epoch.

    Example:
        >>> NormSpread().arrays()
        {}
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[list[float]]] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the row of the start."""
        if not self.rows:
            self._add(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the row of the epoch."""
        self._add(trainer)

    def arrays(self) -> dict[str, Tensor]:
        """For each axis a (1 + epochs, 11) tensor: minimum, deciles, maximum; empty for methods of single weights."""
        return {name: torch.tensor(rows) for name, rows in self.rows.items()}

    def state_dict(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the rows."""
        self.rows = {name: list(rows) for name, rows in state_dict["rows"].items()}

    @torch.no_grad()
    def _add(self, trainer: lightning.Trainer) -> None:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it without saying so
        drivers = [each.sparsifier for each in callbacks if isinstance(each, SparsityCallback)]
        for groups in [driver.groups for driver in drivers if isinstance(driver.groups, UnitGroups)]:
            for name, norms in zip(groups.names, groups.norms(), strict=True):
                found = norms.float().quantile(torch.tensor(DECILES, device=norms.device))
                self.rows.setdefault(name, []).append(found.tolist())
