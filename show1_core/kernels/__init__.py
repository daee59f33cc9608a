"""The functions that the models spend their time in, each with the backends that can serve it.

`explain(function, *inputs)` says which backend serves and why the others do not; `use_backend("eager")` chooses one.
"""

from .attention import attention
from .clip_norm import norm_then
from .group_norm import GROUP_NORM, group_norm
from .registry import Backend, Function, NoBackend, Verdict, explain, requirements, use_backend
from .temporal_attention import TEMPORAL_ATTENTION, temporal_attention
from .temporal_conv import TEMPORAL_CONV, temporal_conv

FUNCTIONS = (GROUP_NORM, TEMPORAL_CONV, TEMPORAL_ATTENTION)

__all__ = [
    "FUNCTIONS", "GROUP_NORM", "TEMPORAL_ATTENTION", "TEMPORAL_CONV", "Backend", "Function", "NoBackend", "Verdict",
    "attention", "explain", "group_norm", "norm_then", "requirements", "temporal_attention", "temporal_conv", "use_backend",
]
