"""What backends ask of their inputs, by parameter name. A requirement is asked for its reason against them; None: they suit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .triton_guard import DEVICES, OBSTACLE

HALF = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, *HALF)
COUNTABLE = 2**31  # kernels count elements in 32 bits
CAPABILITY = (8, 0)  # of CUDA, that the Triton kernels are written for

Inputs = Mapping[str, Any]
Requirement = Callable[[Inputs], "str | None"]
Look = Callable[[nn.Module], "str | None"]
_lookers: ContextVar[tuple[Look, ...]] = ContextVar("show1_weights_looked_at", default=())


@contextmanager
def within(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Inside this context, and in this thread or task alone, a variable has this value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def weights_looked_at(by: Look) -> AbstractContextManager[None]:
    """Inside this context `by` is asked of every layer, too: what happens to its weights on the way, or None."""
    return within(_lookers, (*_lookers.get(), by))


@dataclass(frozen=True)
class On:
    """All tensors on one device, of one of these kinds. On `meta`, without memory, the costs of a GPU are counted."""

    kinds: tuple[str, ...]

    def __call__(self, inputs: Inputs) -> str | None:
        devices = sorted({str(value.device) for value in inputs.values() if isinstance(value, Tensor)})
        if len(devices) > 1:
            return f"the tensors are spread over {', '.join(devices)}"
        return None if devices[0].split(":")[0] in self.kinds else f"the tensors are on {devices[0]}, not on a GPU"


@dataclass(frozen=True)
class OnTriton(On):
    """All tensors in one of these types on one GPU that Triton 3 compiles for, no gradient, and sizes that kernels count to."""

    kinds: tuple[str, ...] = (*DEVICES, "meta")
    dtypes: tuple[torch.dtype, ...] = FLOATS

    def __call__(self, inputs: Inputs) -> str | None:
        values = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
        if (elsewhere := super().__call__(inputs)) is not None:
            return elsewhere
        device = next(iter(values.values())).device
        if device.type != "meta" and OBSTACLE is not None:
            return OBSTACLE
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY:
            return f"{torch.cuda.get_device_name(device)} is older than compute capability {'.'.join(map(str, CAPABILITY))}"
        if torch.is_grad_enabled():
            return "gradients are recorded, and the kernel has no backward"
        found = {value.dtype for value in values.values()}
        if len(found) > 1 or not found <= set(self.dtypes):
            wanted = " or all ".join(map(str, self.dtypes))
            return f"{', '.join(values)}: {', '.join(sorted(map(str, found)))}, not all {wanted}"
        for name, x in values.items():
            if x.numel() == 0 or span(x) >= COUNTABLE:
                return f"{name} has shape {tuple(x.shape)} over {span(x)} elements of memory"
        return None


def resident(layer: str) -> Requirement:
    """The layer's weights lie ready: on x's device, in its dtype, and nothing is to happen to them or around them.

    A host that streams, casts or patches weights does so inside the layer's own forward, which a kernel goes around;
    it tells by `weights_looked_at`.
    """

    def reason_against(inputs: Inputs) -> str | None:
        module, x = inputs[layer], inputs["x"]
        if torch.is_grad_enabled():  # a recomputation in the backward pass happens outside of every context
            return "gradients are recorded"
        for look in _lookers.get():
            if (found := look(module)) is not None:
                return f"{layer}'s weights {found}"
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            return f"{layer}'s forward is hooked"
        if module.weight is None:
            return f"{layer} has no weight"
        for name, weight in (("weight", module.weight), ("bias", module.bias)):
            if weight is not None and type(weight) not in (Tensor, nn.Parameter):
                return f"{layer}.{name} is a {type(weight).__name__}, not a plain tensor"
            if weight is not None and (weight.dtype, weight.device) != (x.dtype, x.device):
                return f"{layer}.{name} is {weight.dtype} on {weight.device}, x is {x.dtype} on {x.device}"
        return None
    return reason_against


def one_of(name: str, values: tuple[Any, ...]) -> Requirement:
    """A parameter, or an attribute of a layer ("conv.stride"), has one of these values."""
    parameter, _, attribute = name.partition(".")

    def reason_against(inputs: Inputs) -> str | None:
        value = getattr(inputs[parameter], attribute) if attribute else inputs[parameter]
        return None if value in values else f"{name} is {value!r}, not {' or '.join(map(repr, values))}"
    return reason_against


def at_most(most: int, what: str, size: Callable[[Inputs], int]) -> Requirement:
    """A size lies in 1..most."""
    return lambda inputs: None if 1 <= size(inputs) <= most else f"{what}: {size(inputs)}, at most {most}"


def channels_last(name: str) -> Requirement:
    """Channels of a tensor (N, C, ...) lie side by side, and pixels evenly spaced: channels last, or parts of such."""
    return lambda inputs: None if pitch(inputs[name]) is not None else \
        f"{name} has strides {inputs[name].stride()}: channels are not last"


def alike(first: str, second: str) -> Requirement:
    """Two tensors (N, C, ...) lie in memory in the same way, channels last, without gaps."""

    def reason_against(inputs: Inputs) -> str | None:
        x, y = ([(size, stride) for size, stride in zip(inputs[name].shape, inputs[name].stride()) if size > 1]
                for name in (first, second))
        dense = pitch(inputs[first]) is not None and span(inputs[first]) == inputs[first].numel()
        return None if x == y and dense else f"{first} and {second} are not alike, channels last, without gaps: {x}, {y}"
    return reason_against


def last_contiguous(*names: str) -> Requirement:
    """The last axis of the named tensors, None aside, is contiguous."""
    return lambda inputs: next((f"{name} has strides {inputs[name].stride()}: its last axis is not contiguous" for name in names
                                if inputs[name] is not None and inputs[name].stride(-1) != 1), None)


def span(x: Tensor) -> int:
    """Elements of memory from the first of a tensor to its last."""
    return 1 + sum((size - 1) * abs(stride) for size, stride in zip(x.shape, x.stride()))


def pitch(x: Tensor) -> int | None:
    """Elements from one pixel of x (N, C, ...) to the next; None where they differ, or where channels are not last."""
    step, passed = None, 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:])):
        if size > 1:
            step = stride if step is None else step
            if stride != step * passed:
                return None
            passed *= size
    return None if x.shape[1] > 1 and x.stride(1) != 1 else x.shape[1] if step is None else step
