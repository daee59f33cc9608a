"""What is known of a CPU, and where training on it takes bfloat16."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mini import operations
from show1_core.cpu import FAST_BF16, cpu_has_bf16


@pytest.mark.parametrize("known, expected", [
    ((), False), ((False, False), False), ((True, False), True), ((False, True), True), ((True,), True)])
def test_what_pytorch_knows_of_the_cpu(monkeypatch: pytest.MonkeyPatch, known: tuple[bool, ...], expected: bool) -> None:
    """Older versions know less."""
    asked = SimpleNamespace(**{name: lambda value=value: value for name, value in zip(FAST_BF16, known)})
    monkeypatch.setattr(torch, "cpu", asked)
    assert cpu_has_bf16() is expected


@pytest.mark.parametrize("has_bf16, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_training_takes_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr(operations, "cpu_has_bf16", lambda: has_bf16)
    with operations.cheap_products(torch.device("cpu")):
        assert operations.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype
