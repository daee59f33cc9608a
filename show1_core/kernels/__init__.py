"""The functions that the models spend their time in, each with the backends that can serve it.

`explain(function, *inputs)` says which backend serves and why the others do not; `use_backend("eager")` chooses one.
"""

from .group_norm import GROUP_NORM, group_norm
from .registry import Backend, Function, NoBackend, Verdict, explain, requirements, use_backend
from .temporal_attention import TEMPORAL_ATTENTION, temporal_attention
from .temporal_conv import TEMPORAL_CONV, temporal_conv
from .text_attention import TEXT_ATTENTION, text_attention
from .threshold import GUIDED_THRESHOLD, THRESHOLD, guided_threshold, threshold

FUNCTIONS = (GROUP_NORM, TEMPORAL_CONV, TEMPORAL_ATTENTION, TEXT_ATTENTION, THRESHOLD, GUIDED_THRESHOLD)

__all__ = [
    "FUNCTIONS", "GROUP_NORM", "GUIDED_THRESHOLD", "TEMPORAL_ATTENTION", "TEMPORAL_CONV", "TEXT_ATTENTION", "THRESHOLD",
    "Backend", "Function", "NoBackend", "Verdict", "requirements", "explain", "group_norm", "guided_threshold",
    "temporal_attention", "temporal_conv", "text_attention", "threshold", "use_backend",
]
