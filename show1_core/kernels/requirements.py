"""What backends ask of their inputs, in order of cost: the first that does not hold ends the search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .triton_guard import DEVICES, INTERPRETED, OBSTACLE

HALF = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, *HALF)
COUNTABLE = 2**31  # kernels count elements in 32 bits

Inputs = Mapping[str, Any]
Look = Callable[[nn.Module], str | None]
_lookers: ContextVar[tuple[Look, ...]] = ContextVar("show1_weights_looked_at", default=())


@contextmanager
def weights_looked_at(by: Look) -> Iterator[None]:
    """Inside this context `by` is asked of every layer, too: what happens to its weights on the way, or None."""
    token = _lookers.set((*_lookers.get(), by))
    try:
        yield
    finally:
        _lookers.reset(token)


def tensors(inputs: Inputs) -> Iterator[tuple[str, Tensor]]:
    """The inputs that are tensors, with their names."""
    return ((name, value) for name, value in inputs.items() if isinstance(value, Tensor))


def named(inputs: Inputs, names: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """Those of these names, None aside."""
    return ((name, inputs[name]) for name in names if inputs[name] is not None)


def plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def pitch(x: Tensor) -> int | None:
    """Elements from one pixel of x (N, C, ...) to the next, through all frames; None where they are not evenly spaced."""
    step, passed = None, 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:])):
        if size > 1:
            step = stride if step is None else step
            if stride != step * passed:
                return None
            passed *= size
    return x.shape[1] if step is None else step


@dataclass(frozen=True)
class OnDevice:
    """All tensors on one device, of one of these kinds. On `meta`, without memory, costs of a GPU are counted."""

    kinds: tuple[str, ...]

    def reason_against(self, inputs: Inputs) -> str | None:
        devices = {value.device for _, value in tensors(inputs)}
        if len(devices) != 1:
            return f"the tensors are spread over {', '.join(sorted(map(str, devices)))}"
        device = devices.pop()
        return None if device.type in self.kinds else f"the tensors are on {device}, not on a GPU"


@dataclass(frozen=True)
class TritonDevice:
    """Tensors on one GPU that Triton 3 compiles for."""

    capability: tuple[int, int] = (8, 0)

    def reason_against(self, inputs: Inputs) -> str | None:
        if (elsewhere := OnDevice((*DEVICES, "meta")).reason_against(inputs)) is not None:
            return elsewhere
        device = next(tensors(inputs))[1].device
        if device.type == "meta":
            return None
        if OBSTACLE is not None:
            return OBSTACLE
        if not INTERPRETED and torch.cuda.get_device_capability(device) < self.capability:
            return f"{torch.cuda.get_device_name(device)} is older than compute capability {'.'.join(map(str, self.capability))}"
        return None


@dataclass(frozen=True)
class NoGradient:
    """Nothing to differentiate: the kernels have no backward."""

    def reason_against(self, inputs: Inputs) -> str | None:
        if not torch.is_grad_enabled():
            return None
        values = [value for _, value in tensors(inputs)]
        values += [weight for layer in inputs.values() if isinstance(layer, nn.Module) for weight in layer.parameters()]
        return "a gradient is asked for, and the kernel has no backward" if any(v.requires_grad for v in values) else None


@dataclass(frozen=True)
class Dtypes:
    """The named tensors, None aside, share one of these dtypes."""

    names: tuple[str, ...]
    allowed: tuple[torch.dtype, ...]

    def reason_against(self, inputs: Inputs) -> str | None:
        found = {value.dtype for _, value in named(inputs, self.names)}
        if len(found) > 1:
            return f"{', '.join(self.names)} differ in dtype: {', '.join(sorted(map(plain, found)))}"
        dtype = found.pop()
        if dtype in self.allowed:
            return None
        return f"{', '.join(self.names)}: {plain(dtype)}, not {' or '.join(map(plain, self.allowed))}"


@dataclass(frozen=True)
class Resident:
    """The layer's weights lie ready: on x's device, in its dtype, and nothing is to happen to them or around them.

    A host that streams, casts or patches weights does so inside the layer's own forward, which a kernel goes around;
    it tells by `weights_looked_at`.
    """

    layer: str

    def reason_against(self, inputs: Inputs) -> str | None:
        layer, x = inputs[self.layer], inputs["x"]
        if torch.is_grad_enabled():  # a recomputation in the backward pass happens outside of every context
            return "gradients are recorded"
        for look in _lookers.get():
            if (found := look(layer)) is not None:
                return f"{self.layer}'s weights {found}"
        if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
            return f"{self.layer}'s forward is hooked"
        if layer.weight is None:
            return f"{self.layer} has no weight"
        for name, weight in (("weight", layer.weight), ("bias", layer.bias)):
            if weight is None:
                continue
            if type(weight) not in (Tensor, nn.Parameter):
                return f"{self.layer}.{name} is a {type(weight).__name__}, not a plain tensor"
            if weight.dtype != x.dtype or weight.device != x.device:
                return f"{self.layer}.{name} is {plain(weight.dtype)} on {weight.device}, x is {plain(x.dtype)} on {x.device}"
        return None


@dataclass(frozen=True)
class OneOf:
    """A parameter, or an attribute of a layer, has one of these values."""

    name: str
    values: tuple[Any, ...]
    attribute: str | None = None

    def reason_against(self, inputs: Inputs) -> str | None:
        value = inputs[self.name] if self.attribute is None else getattr(inputs[self.name], self.attribute)
        label = self.name if self.attribute is None else f"{self.name}.{self.attribute}"
        return None if value in self.values else f"{label} is {value!r}, not {' or '.join(map(repr, self.values))}"


@dataclass(frozen=True)
class Dimensions:
    """A tensor has so many dimensions."""

    name: str
    count: int

    def reason_against(self, inputs: Inputs) -> str | None:
        shape = tuple(inputs[self.name].shape)
        return None if len(shape) == self.count else f"{self.name} has shape {shape}, not {self.count} dimensions"


@dataclass(frozen=True)
class Size:
    """A size of a tensor lies in a range; `divided_by` names an integer parameter, e.g. the heads."""

    name: str
    axis: int
    most: int
    what: str
    divided_by: str | None = None

    def reason_against(self, inputs: Inputs) -> str | None:
        size = inputs[self.name].shape[self.axis] // (inputs[self.divided_by] if self.divided_by else 1)
        return None if 1 <= size <= self.most else f"{self.what}: {size}, at most {self.most}"


@dataclass(frozen=True)
class ChannelsLast:
    """Channels of the named tensors (N, C, ...) lie side by side, and pixels evenly spaced: channels last, or parts of such."""

    names: tuple[str, ...]

    def reason_against(self, inputs: Inputs) -> str | None:
        for name, x in named(inputs, self.names):
            if (x.shape[1] > 1 and x.stride(1) != 1) or pitch(x) is None:
                return f"{name} has strides {x.stride()}: channels are not last"
        return None


@dataclass(frozen=True)
class Alike:
    """Two tensors (N, C, ...) lie in memory in the same way, channels last, without gaps."""

    first: str
    second: str

    def reason_against(self, inputs: Inputs) -> str | None:
        x, y = inputs[self.first], inputs[self.second]
        if (reason := ChannelsLast((self.first, self.second)).reason_against(inputs)) is not None:
            return reason
        if x.shape != y.shape or any(value.stride(0) * len(value) != value.numel() and len(value) > 1 or
                                     pitch(value) != value.shape[1] for value in (x, y)):
            return f"{self.first} and {self.second} have shapes {tuple(x.shape)}, {tuple(y.shape)} and strides " \
                   f"{x.stride()}, {y.stride()}, not the same without gaps"
        return None


@dataclass(frozen=True)
class LastContiguous:
    """The last axis of the named tensors, None aside, is contiguous; or `dense`, all of them."""

    names: tuple[str, ...]
    dense: bool = False

    def reason_against(self, inputs: Inputs) -> str | None:
        for name, x in named(inputs, self.names):
            if x.stride(-1) != 1 or (self.dense and not x.is_contiguous()):
                return f"{name} has strides {x.stride()}: {'it' if self.dense else 'its last axis'} is not contiguous"
        return None


@dataclass(frozen=True)
class Countable:
    """No tensor is empty, and none spans more elements than 32 bits count."""

    def reason_against(self, inputs: Inputs) -> str | None:
        for name, x in tensors(inputs):
            span = 1 + sum((size - 1) * abs(stride) for size, stride in zip(x.shape, x.stride()))
            if x.numel() == 0 or span >= COUNTABLE:
                return f"{name} has shape {tuple(x.shape)} over {span} elements of memory"
        return None
