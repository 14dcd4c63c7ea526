"""What a network costs: parameters, multiply-accumulates, bytes and measured latency."""

from gasl.measure.example import Example, tensors_in
from gasl.measure.latency import Latency, describe_device, measure_latency
from gasl.measure.macs import Macs, count_macs
from gasl.measure.measure import Comparison, Measurement, compare, measure

__all__ = [
    "Comparison",
    "Example",
    "Latency",
    "Macs",
    "Measurement",
    "compare",
    "count_macs",
    "describe_device",
    "measure",
    "measure_latency",
    "tensors_in",
]
