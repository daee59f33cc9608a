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


@dataclass(frozen=True)
class TritonDevice:
    """Tensors on one GPU that Triton compiles for."""

    capability: tuple[int, int] = (8, 0)

    def describe(self) -> str:
        return f"Triton 3, and all tensors on one GPU of compute capability {self.capability[0]}.{self.capability[1]} or later"

    def reason_against(self, inputs: Inputs) -> str | None:
        devices = {value.device for _, value in tensors(inputs)}
        if len(devices) != 1:
            return f"the tensors are spread over {', '.join(sorted(map(str, devices)))}"
        device, least = devices.pop(), ".".join(map(str, self.capability))
        if device.type not in DEVICES:
            return f"the tensors are on {device}, not on a GPU"
        if OBSTACLE is not None:
            return OBSTACLE
        if not INTERPRETED and torch.cuda.get_device_capability(device) < self.capability:
            return f"{torch.cuda.get_device_name(device)} is older than compute capability {least}"
        return None


@dataclass(frozen=True)
class OnDevice:
    """All tensors on devices of one kind."""

    kind: str

    def describe(self) -> str:
        return f"all tensors on the {self.kind}"

    def reason_against(self, inputs: Inputs) -> str | None:
        other = next((f"{name} is on {value.device}" for name, value in tensors(inputs) if value.device.type != self.kind), None)
        return None if other is None else f"{other}, not on the {self.kind}"


@dataclass(frozen=True)
class NoGradient:
    """Nothing to differentiate: the kernels have no backward."""

    def describe(self) -> str:
        return "no gradients"

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

    def describe(self) -> str:
        return f"{', '.join(self.names)} in {' or '.join(map(plain, self.allowed))}"

    def reason_against(self, inputs: Inputs) -> str | None:
        found = {inputs[name].dtype for name in self.names if inputs.get(name) is not None}
        if len(found) > 1:
            return f"{', '.join(self.names)} differ in dtype: {', '.join(sorted(map(plain, found)))}"
        dtype = found.pop()
        if dtype in self.allowed:
            return None
        return f"{', '.join(self.names)}: {plain(dtype)}, not {' or '.join(map(plain, self.allowed))}"


@dataclass(frozen=True)
class Resident:
    """The layer's weights lie ready: on the input's device, in its dtype, and nothing is to happen to them or around them.

    A host that streams, casts or patches weights does so inside the layer's own forward, which a kernel goes around;
    it tells by `weights_looked_at`.
    """

    layer: str
    beside: str = "x"

    def describe(self) -> str:
        return f"{self.layer}'s weights resident, in the dtype of {self.beside}, neither cast nor patched on the fly"

    def reason_against(self, inputs: Inputs) -> str | None:
        layer, x = inputs[self.layer], inputs[self.beside]
        if torch.is_grad_enabled():  # a recomputation in the backward pass happens outside of every context
            return "gradients are recorded"
        for look in _lookers.get():
            if (found := look(layer)) is not None:
                return f"{self.layer}'s weights {found}"
        if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
            return f"{self.layer}'s forward is hooked"
        for name in ("weight", "bias"):
            weight = getattr(layer, name)
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

    def describe(self) -> str:
        return f"{self.label} = {' or '.join(map(str, self.values))}"

    @property
    def label(self) -> str:
        return self.name if self.attribute is None else f"{self.name}.{self.attribute}"

    def reason_against(self, inputs: Inputs) -> str | None:
        value = inputs[self.name] if self.attribute is None else getattr(inputs[self.name], self.attribute)
        return None if value in self.values else f"{self.label} is {value!r}, not {' or '.join(map(repr, self.values))}"


@dataclass(frozen=True)
class Affine:
    """A norm with weight and bias."""

    layer: str

    def describe(self) -> str:
        return f"{self.layer} with weight and bias"

    def reason_against(self, inputs: Inputs) -> str | None:
        layer = inputs[self.layer]
        return f"{self.layer} has no weight or no bias" if layer.weight is None or layer.bias is None else None


@dataclass(frozen=True)
class Dimensions:
    """The named tensors, None aside, have so many dimensions."""

    names: tuple[str, ...]
    allowed: tuple[int, ...]

    def describe(self) -> str:
        return f"{', '.join(self.names)} of {' or '.join(map(str, self.allowed))} dimensions"

    def reason_against(self, inputs: Inputs) -> str | None:
        for name in self.names:
            if inputs.get(name) is not None and inputs[name].ndim not in self.allowed:
                return f"{name} has shape {tuple(inputs[name].shape)}, not {' or '.join(map(str, self.allowed))} dimensions"
        return None


@dataclass(frozen=True)
class Size:
    """A product of a tensor's sizes, `axes`, lies in a range; `divided_by` names an integer parameter, e.g. the heads."""

    name: str
    axes: tuple[int, ...]
    most: int
    what: str
    divided_by: str | None = None

    def describe(self) -> str:
        return f"1 to {self.most} {self.what}"

    def reason_against(self, inputs: Inputs) -> str | None:
        size = 1
        for axis in self.axes:
            size *= inputs[self.name].shape[axis]
        size //= inputs[self.divided_by] if self.divided_by else 1
        return None if 1 <= size <= self.most else f"{self.what}: {size}, at most {self.most}"


@dataclass(frozen=True)
class RowsOfPixels:
    """Height and width of the named tensors, None aside, are one axis in memory: contiguous, channels last, or parts of such."""

    names: tuple[str, ...]

    def describe(self) -> str:
        return f"{', '.join(self.names)} with the rows of a frame one after the other"

    def reason_against(self, inputs: Inputs) -> str | None:
        for name in self.names:
            x = inputs.get(name)
            if x is not None and x.shape[-2] > 1 and x.stride(-2) != x.shape[-1] * x.stride(-1):
                return f"{name} has strides {x.stride()}: its rows do not follow each other"
        return None


@dataclass(frozen=True)
class LastContiguous:
    """The last axis of the named tensors is contiguous."""

    names: tuple[str, ...]

    def describe(self) -> str:
        return f"{', '.join(self.names)} with a contiguous last axis"

    def reason_against(self, inputs: Inputs) -> str | None:
        for name in self.names:
            if inputs[name].stride(-1) != 1:
                return f"{name} has strides {inputs[name].stride()}: its last axis is not contiguous"
        return None


@dataclass(frozen=True)
class Countable:
    """No tensor is empty, and none spans more elements than 32 bits count."""

    def describe(self) -> str:
        return "no tensor empty or of 2^31 elements or more"

    def reason_against(self, inputs: Inputs) -> str | None:
        for name, x in tensors(inputs):
            span = 1 + sum((size - 1) * abs(stride) for size, stride in zip(x.shape, x.stride()))
            if x.numel() == 0 or span >= COUNTABLE:
                return f"{name} has shape {tuple(x.shape)} over {span} elements of memory"
        return None


def plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
