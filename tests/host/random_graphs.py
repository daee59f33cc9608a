"""Grows random graphs of the pack's nodes and core ones, from what a server says about them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Link = list[Any]

CORE = ("EmptyImage", "ImageScale", "ImageBatch", "ImageFromBatch", "KSampler", "VAEDecode", "VAEEncode", "CLIPTextEncode",
        "EmptyLatentImage", "ModelSamplingDiscrete", "LatentUpscale")
ENDS = ("PreviewImage", "SaveImage")
# The checkpoint and the text that belong into a stage, so that not every graph ends in a refusal.
FITTING = {
    "Show1KeyframeSampler": "show-1-base", "Show1KeyframeDrafts": "show-1-base", "Show1Interpolator": "show-1-interpolation",
    "Show1FirstFrameSR": "IF-II-L-v1.0", "Show1PixelSR": "show-1-sr1", "Show1LatentSR": "show-1-sr2"}
# What takes long or much memory when large: mostly no larger than this, sometimes at its maximum.
USUAL = {"steps": 3, "width": 64, "height": 64, "frames": 9, "count": 3, "batch_size": 5, "length": 9}
SIZES = (8, 16, 64)
TEXT, TEXTS = "a red circle", ("", "x" * 9999, "\x00", "../..", "{}", "\u202e")
DEPTH = 5
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass
class Grower:
    """Makes one graph after the other from one random stream."""

    rng: random.Random
    known: Json  # by node id, as the server lists it

    def graph(self) -> Json:
        """One that ends in one or two pictures, everything it needs behind them, some of it shared."""
        self.prompt: Json = {}
        for _ in range(self.rng.randint(1, 2)):
            self.node(self.rng.choice(ENDS), DEPTH, None)
        return self.prompt

    def node(self, name: str, depth: int, asked_by: str | None) -> str:
        """Add a node with all it needs; its number."""
        inputs = {}
        for group in ("required", "optional"):
            for key, (kind, *more) in self.known[name]["input"].get(group, {}).items():
                chance = self.rng.random()
                if group == "optional" and chance < 0.5 or chance > 0.999:
                    continue
                options = more[0] if more else {}
                if is_link(kind):
                    inputs[key] = self.link(kind, depth - 1, name)
                else:
                    inputs[key] = self.value(key, kind, options)
        if name == "Show1ModelLoader" and self.rng.random() < 0.95:
            inputs["model"] = FITTING.get(asked_by or "", inputs.get("model"))
        if name == "Show1TextEncoderLoader" and self.rng.random() < 0.95:
            inputs["text_encoder"] = f"{'show-1-sr2' if asked_by == 'CLIPTextEncode' else 'show-1-base'}/text_encoder"
        number = str(len(self.prompt) + 1)
        self.prompt[number] = {"class_type": name, "inputs": inputs}
        return number

    def link(self, kind: str, depth: int, asked_by: str) -> Link:
        """An output of this type: one that is there, or a new node's; rarely one of another type."""
        there = [([number, slot], output) for number, node in self.prompt.items()
                 for slot, output in enumerate(self.known[node["class_type"]]["output"])]
        fitting = [link for link, output in there if output == kind]
        if there and self.rng.random() < 0.003:
            return self.rng.choice(there)[0]
        if fitting and (kind not in ("MODEL", "CLIP") or depth < 0) and self.rng.random() < 0.6:
            return self.rng.choice(fitting)
        if kind == "CONDITIONING" and self.rng.random() < 0.9:
            maker = "CLIPTextEncode" if asked_by == "Show1LatentSR" else "Show1T5Encode"
            return [self.node(maker, depth, maker), 0]
        makers = [name for name in self.known if kind in self.known[name]["output"]]
        sources = [name for name in makers if not links_of(self.known[name])]
        if sources and (depth <= 0 or kind == "MODEL" and self.rng.random() < 0.9):
            makers = sources
        maker = self.rng.choice(makers)
        return [self.node(maker, depth, asked_by), self.known[maker]["output"].index(kind)]

    def value(self, key: str, kind: Any, options: Json) -> Any:
        """A widget's value: least, most, between; rarely beyond, or of a wrong kind."""
        rng = self.rng
        if key == "compile":  # minutes a graph; tests/host/inside/test_compile.py is about it
            return "off"
        if rng.random() < 0.001:
            return rng.choice([None, [], {}, "wrong", -1, 1e308, True, ["1", 0, 0]])
        if isinstance(kind, list) or kind == "COMBO":
            return rng.choice((kind if isinstance(kind, list) else options.get("options", [])) or ["not there"])
        if kind in ("INT", "FLOAT"):
            low, high = options.get("min", 0), options.get("max", 2**31)
            if key in ("width", "height") and rng.random() < 0.9:
                return max(low, rng.choice(SIZES))
            if rng.random() < 0.98:
                high = min(high, max(low, USUAL.get(key, high)))
            between = rng.randint(int(low), int(high)) if kind == "INT" else rng.uniform(low, high)
            step = int(options.get("step", 1)) if kind == "INT" else 1
            choices = [low, high, between if kind == "FLOAT" else low + (between - low) // step * step]
            return rng.choice(choices) if rng.random() < 0.9995 else high + 1
        if kind == "BOOLEAN":
            return rng.random() < 0.5
        return TEXT if rng.random() < 0.9 else rng.choice(TEXTS)


def links_of(node: Json) -> list[str]:
    """The inputs of a node that only another node can give."""
    return [key for key, (kind, *_) in node["input"].get("required", {}).items() if is_link(kind)]


def is_link(kind: Any) -> bool:
    """Whether an input of this type takes another node's output; what is chosen from comes as a list."""
    return isinstance(kind, str) and kind not in WIDGETS
