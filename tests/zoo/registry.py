"""The zoo: every network by name."""

from zoo import attention, convolutional, hub_text, hub_vision, recurrent, spatial

__all__ = ["WHOLE", "ZOO"]

ZOO = {
    entry.name: entry
    for group in (convolutional, spatial, recurrent, attention, hub_vision, hub_text)
    for entry in group.ENTRIES
}

WHOLE = {
    "hf-convnext-v2": "mean runs over the width"
}  # nothing of it can go, and why: its response norm compares all maps
