"""The prompt for the pixel stages."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io

from ..show1_core.captions import TOKENS, fit, preprocess
from ..show1_core.prompt_travel import placed_prompts
from . import host
from .common import CATEGORY, search_words


class Show1T5Encode(io.ComfyNode):
    """A prompt and its negative as T5 states, 77 tokens each, for all pixel stages."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1T5Encode", display_name="Show-1 T5 Encode", category=CATEGORY,
            **search_words("prompt", "text encode", "t5", "text to video"),
            description="Encodes the prompt for all stages in pixel space, as the official run does.",
            inputs=[
                io.Clip.Input("clip", tooltip="T5 from Show-1 Text Encoder Loader, or the core CLIPLoader with type mochi."),
                io.String.Input("prompt", multiline=True,
                                tooltip="What to draw. Lower-cased; about 60 words at most are read. Over time: 0: a red "
                                        "ball | 4: a blue ball, with the keyframe from which each holds."),
                io.String.Input("negative_prompt", default="", multiline=True,
                                tooltip="What to steer away from. Empty in the official run."),
                io.Boolean.Input("clean_caption", default=False,
                                 tooltip="Strip links, HTML, file names and ad words, as from captions found on the web."),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
        )

    @classmethod
    def execute(cls, clip: Any, prompt: str, negative_prompt: str = "", clean_caption: bool = False) -> io.NodeOutput:
        tokenizer = host.masked_t5(clip)
        if tokenizer is None:
            raise ValueError("clip is not a T5 whose attention mask is on; load it with Show-1 Text Encoder Loader, or with the "
                             "core CLIPLoader and type mochi.")

        def encode(name: str, text: str) -> Any:
            ids = tokenizer(preprocess(text, clean_caption))["input_ids"]
            if len(ids) > TOKENS:
                logging.warning("Show-1 T5 Encode: %s has %d tokens; the first %d are read, about 60 words.",
                                name, len(ids) - 1, TOKENS - 1)
            return host.encode_t5(clip, fit(ids), text)

        placed = placed_prompts(prompt) or [(0, prompt)]
        positive = [encode("prompt", text) for _, text in placed]
        over_time = positive[0] if len(placed) == 1 else host.over_time(positive, [start for start, _ in placed])
        return io.NodeOutput(over_time, encode("negative_prompt", negative_prompt))
