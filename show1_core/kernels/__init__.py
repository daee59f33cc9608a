"""The functions that the models spend their time in, each with the backends that can serve it.

`explain(function, *inputs)` says which backends may serve and why the others do not; `use_backend("eager")` chooses one;
under `chosen_by(Selection(...))` they prove themselves on the machine they run on.
"""

from .attention import TEMPORAL_ATTENTION, attention, temporal_attention
from .convolution import CONVOLUTION, LATE_BIAS, conv_norm, conv_residual, convolution, late_bias
from .group_norm import GROUP_NORM, group_norm
from .pointwise import GATED, RESIDUAL_SUM, gated, residual_sum
from .registry import Backend, Function, chosen_by, explain, use_backend
from .selection import Selection, Trials

FUNCTIONS = (GROUP_NORM, CONVOLUTION, LATE_BIAS, RESIDUAL_SUM, GATED, TEMPORAL_ATTENTION)

__all__ = [
    "CONVOLUTION", "FUNCTIONS", "GATED", "GROUP_NORM", "LATE_BIAS", "RESIDUAL_SUM", "TEMPORAL_ATTENTION", "Backend", "Function",
    "Selection", "Trials", "attention", "chosen_by", "conv_norm", "conv_residual", "convolution", "explain", "gated",
    "group_norm", "late_bias", "residual_sum", "temporal_attention", "use_backend",
]
