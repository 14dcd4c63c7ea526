"""What a finished run leaves in its folder: the result, the history, the arrays of its figures, the network."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import gasl
from gasl.data import default_preprocess
from gasl.experiments.spec import RunSpec
from gasl.files import save, whole_file
from gasl.groups import UnitGroups
from gasl.measure import Comparison
from gasl.removal import Removal
from gasl.sparsifier import Sparsifier
from gasl.training.record import write_table

__all__ = ["Outcome", "second_feature_maps", "write_record"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the phases of a run made.

    Args:
        spec: What was asked for.
        dense: The baseline.
        sparse: The network with its dead units still in it.
        small: The network without them, tuned.
        sparsifier: What drove the method.
        history: For each phase its name and one row an epoch.
        removal_error: Validation error just before and just after the removal, in percent.
        norms: For each axis the deciles of its group norms over the training with the method.
        trained_on: Name of the GPU that the method was trained on, or "cpu".
    """

    spec: RunSpec
    dense: nn.Module
    sparse: nn.Module
    small: nn.Module
    sparsifier: Sparsifier
    history: Sequence[tuple[str, Sequence[dict[str, float]]]]
    removal_error: tuple[float, float]
    norms: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    trained_on: str = "cpu"

    @property
    def removal(self) -> Removal:
        """What was removed."""
        removal = self.sparsifier.removal
        assert removal is not None  # finish() was called
        return removal


def write_record(
    out: Path, outcome: Outcome, costs: Comparison, errors: tuple[float, float], image: Tensor
) -> dict[str, Any]:
    """Write the files of a run; ``result.json`` comes last, so a folder that has it is complete.

    Args:
        out: The run's folder.
        outcome: The networks.
        costs: Both measured.
        errors: Test error of the dense and of the small network, in percent.
        image: One image (1, C, H, W) uint8, for the feature maps.

    Returns:
        The content of ``result.json``.
    """
    save(outcome.small, out / "model.safetensors")
    rows = [row for _, epochs in outcome.history for row in epochs]
    write_table(out / "history.csv", [{**row, "epoch": epoch} for epoch, row in enumerate(rows)])
    with whole_file(out / "arrays.safetensors") as temporary:
        over = {f"norms/over/{name}": deciles for name, deciles in outcome.norms.items()}
        save_file(_norms(outcome) | over | _features(outcome, image), temporary)
    result = _result(outcome, costs, errors)
    with whole_file(out / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _result(outcome: Outcome, costs: Comparison, errors: tuple[float, float]) -> dict[str, Any]:
    spec = outcome.spec
    layers = [
        {
            "name": axis.name,
            "size": axis.size,
            "alive": axis.alive,
            "sparsity_own": axis.sparsity_own,
            "sparsity_propagated": axis.sparsity_propagated,
        }
        for axis in outcome.removal.axes
    ]
    return {
        "title": f"{spec.model} on {spec.data}, {type(spec.method).__name__}",
        "error_dense": errors[0],
        "error_small": errors[1],
        "error_before_removal": outcome.removal_error[0],
        "error_after_removal": outcome.removal_error[1],
        "layers": layers,
        **({"kept": kept} if (kept := outcome.sparsifier.structure.kept) else {}),
        "max_rel_diff": outcome.removal.max_rel_diff,
        **costs.as_dict(),
        **({} if (reached := outcome.sparsifier.reached) is None else {"target": reached.as_dict()}),
        "seed": spec.seed,
        "model": spec.model,
        "data": spec.data,
        "method": repr(spec.method),
        "phases": {name: dataclasses.asdict(spec.phase(name)) for name, _ in outcome.history},
        "time": {
            name: {"epochs": len(rows), "seconds": round(sum(row["seconds"] for row in rows), 1)}
            for name, rows in outcome.history
        },
        "trained_on": outcome.trained_on,
        "versions": {"gasl": gasl.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _norms(outcome: Outcome) -> dict[str, Tensor]:
    """Group norms of the dense network and of the sparse one, for each penalised axis."""
    groups = outcome.sparsifier.groups
    if not isinstance(groups, UnitGroups):
        return {}
    method = outcome.sparsifier.method
    networks = (dict(model.named_parameters()) for model in (outcome.dense, outcome.sparse))
    before, after = (UnitGroups(tensors, groups.axes, method.scope, method.linear) for tensors in networks)
    arrays = {}
    for when, groups in (("before", before), ("after", after)):
        for name, norms in zip(groups.names, groups.norms(), strict=True):
            arrays[f"norms/{when}/{name}"] = norms.detach().cpu().contiguous()
    return arrays


def _features(outcome: Outcome, image: Tensor) -> dict[str, Tensor]:
    _, channels, height, width = image.shape
    example = default_preprocess((channels, height, width)).evaluate(image)
    pairs = (("before", outcome.dense), ("after", outcome.sparse))
    maps = {f"features/{when}": second_feature_maps(model, example) for when, model in pairs}
    return {name: array for name, array in maps.items() if array is not None}


@torch.no_grad()
def second_feature_maps(model: nn.Module, example: Tensor) -> Tensor | None:
    """The output maps of a network's second convolution for one image, negative values as 0 (the paper's Figure 1).

    Args:
        model: Any network.
        example: One image as the network takes it, (1, C, H, W).

    Returns:
        A (channels, height, width) tensor; None for a network with fewer than two convolutions.

    Example:
        >>> from gasl.models import LeNet5
        >>> second_feature_maps(LeNet5(), torch.zeros(1, 1, 28, 28)).shape
        torch.Size([50, 8, 8])
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if len(convolutions) < 2:
        return None
    seen: list[Tensor] = []
    handle = convolutions[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        model.eval()(example)
    finally:
        handle.remove()
    return seen[0][0].relu().cpu().contiguous()
