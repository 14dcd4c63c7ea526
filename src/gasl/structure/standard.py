"""The attributes of standard layers that say how large their tensors are."""

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ["counted_by", "standard_atoms"]


def counted_by(module: nn.Module) -> list[tuple[str, str, int]]:
    """Which attribute of a layer is the size of which dimension of which of its tensors.

    Args:
        module: A layer; of any but the standard kinds nothing is known.

    Returns:
        Triples of attribute, tensor and dimension.

    Example:
        >>> counted_by(nn.Embedding(5, 3))
        [('num_embeddings', 'weight', 0), ('embedding_dim', 'weight', 1)]
    """
    if isinstance(module, nn.Linear):
        return [("out_features", "weight", 0), ("in_features", "weight", 1)]
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        own = [("out_channels", "weight", 0)]
        return [*own, ("in_channels", "weight", 1)] if module.groups == 1 else own
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)) and module.groups == 1:
        return [("in_channels", "weight", 0), ("out_channels", "weight", 1)]
    if isinstance(module, nn.Embedding):
        return [("num_embeddings", "weight", 0), ("embedding_dim", "weight", 1)]
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        return [("num_features", "weight", 0)]
    if isinstance(module, nn.Bilinear):
        return [(name, "weight", dim) for dim, name in enumerate(("out_features", "in1_features", "in2_features"))]
    return [("num_channels", "weight", 0)] if isinstance(module, nn.GroupNorm) else []


def standard_atoms(modules: Mapping[str, nn.Module], dims: Mapping[tuple[str, int], Tensor]) -> dict[str, Tensor]:
    """The atoms that attributes of standard layers count.

    Args:
        modules: Layers by path.
        dims: The atoms of each (tensor, dimension).

    Returns:
        Atoms by the attribute's path.
    """
    places = {
        f"{path}.{attribute}".lstrip("."): (f"{path}.{tensor}".lstrip("."), dim)
        for path, module in modules.items()
        for attribute, tensor, dim in counted_by(module)
    }
    return {path: dims[place] for path, place in places.items() if place in dims}
