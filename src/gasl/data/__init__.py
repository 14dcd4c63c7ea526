"""Image sets: reading them from the files they are published in, splitting, augmenting and batching them."""

from gasl.data.batches import Batches
from gasl.data.imageset import DataSplits, ImageSet, hold_out, stratified
from gasl.data.preprocess import (
    Preprocess,
    center_crop,
    default_preprocess,
    random_crop,
    random_flip,
    standardise,
)
from gasl.data.sets import DATA_SETS, load

__all__ = [
    "DATA_SETS",
    "Batches",
    "DataSplits",
    "ImageSet",
    "Preprocess",
    "center_crop",
    "default_preprocess",
    "hold_out",
    "load",
    "random_crop",
    "random_flip",
    "standardise",
    "stratified",
]
