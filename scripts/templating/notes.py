"""The notes in the templates: what a graph does, which models it wants, what to change."""

from __future__ import annotations

OWNERS = {"IF-II-L-v1.0": "DeepFloyd"}
CASCADE = {"base": "show-1-base", "t5": "show-1-base", "interpolation": "show-1-interpolation", "first-frame": "IF-II-L-v1.0",
           "sr1": "show-1-sr1", "sr2": "show-1-sr2"}
LICENCE = "The weights of Show-1 may not be used commercially (CC BY-NC 4.0)."
ANY_T5 = " A `t5xxl_*.safetensors` in `models/text_encoders` does instead of `t5` (11.5 GB): *{t5}* lists it too."


def models(*names: str, t5: str = "Load T5") -> str:
    """A note's part on the models: the command that fetches them, and the pages that they come from.

    `names` are those of `scripts/download.py --only`; `t5` is where another text encoder is chosen.
    """
    owned = dict.fromkeys(f"{OWNERS.get(CASCADE[name], 'showlab')}/{CASCADE[name]}" for name in names)
    pages = "\n".join(f"- [{page}](https://huggingface.co/{page})" for page in owned)
    only = "" if set(names) == set(CASCADE) else f" --only {','.join(names)}"
    deepfloyd = " DeepFloyd's has a licence of its own, to be accepted on its page." if "first-frame" in names else ""
    return (f"**Models.** In this pack's folder, `python scripts/download.py ../../models{only}` fetches them. Or copy the "
            f"folders of these pages into `ComfyUI/models/show1` and press R:\n\n{pages}\n\n{LICENCE}{deepfloyd}"
            + (ANY_T5.format(t5=t5) if "t5" in names else ""))


INSIDE = "*{node}* holds the stages: double-click it, or press *Enter subgraph*, to see and change them."

READ_ME = """## Show-1: text to video

Eight small keyframes are drawn from the prompt, the motion between them is filled in, and 29 frames are enlarged \
twice: 64x40, 256x160, 576x320, at 8 frames a second.

""" + INSIDE.format(node="Text to video") + """ The settings are those of the published run; the same *seed* gives the same \
noise on every machine, another seed another video.

""" + models(*CASCADE, t5="t5") + """

**Without DeepFloyd's model** delete group 3 inside, or give *first_frame* any upscaler's picture of 256x160."""

FEW_READ_ME = """## Show-1: text to video, few steps

The published settings but for *steps*: 25, 25, 15, 25, 20 instead of 75, 75, 70, 125, 50, a quarter of the network's \
calls. Good for finding the prompt and the seed; take both to *Show-1 text to video* for the final video.

""" + INSIDE.format(node="Text to video") + "\n\n" + models(*CASCADE, t5="t5")

KEYFRAMES_READ_ME = """## Show-1: keyframes only

What the keyframes show decides the whole video, and they are quick to draw. Run this a few times: the seed changes \
after every run. Take the seed you like to *Show-1 text to video*.

""" + models("base", "t5")

DRAFTS_READ_ME = """## Show-1: drafts, pick, then upscale

What the keyframes show decides the whole video, and they are quick to draw.

1. Run. Six takes appear on one contact sheet; what comes after is muted, so it costs nothing.
2. Like none? Change the seed of *Drafts* and run again. Like one? Set *take* to its number.
3. Wake *Finish* and *Save the video*: drag over both with Ctrl held, then Ctrl+M. Run: the takes are not drawn again.

""" + models(*CASCADE)

RANK = """## Draw 16, keep the best

What the keyframes show decides the whole video, and they are quick to draw. Sixteen takes are drawn, a scorer says how well \
each follows the prompt, and the best one alone is finished.

*All takes* shows them with their scores, the best first. You like the second row better? Set *take* of *Pick* to 2 and run: \
the takes are not drawn again. Like none? Change the seed of *Drafts*.

The scorer looks at single frames: it knows what is seen and where, and little of how it moves.

"""
RANK_READ_ME = RANK + """**Scorer.** All files of [openai/clip-vit-base-patch32]\
(https://huggingface.co/openai/clip-vit-base-patch32), 0.6 GB, in `models/clip_vision/clip-vit-base-patch32`. \
The `show1-mini/scorer` that *Rank* offers too knows the world of Show-1 mini alone: it cannot rank these takes.

""" + models(*CASCADE)
MINI_RANK_READ_ME = RANK + """With Show-1 mini and its own small scorer, on a CPU; nothing to download. Takes are drawn \
roughly, in 5 steps with too much guidance, and many are wrong then: as it ships the mini is nearly always right, and there \
would be nothing to choose. Ask for two solids: \
*a red ball moving right above a blue cube*."""

CORE_READ_ME = """## Show-1: keyframes through core samplers

The keyframe model is a native MODEL: LoRA loaders, guiders, samplers and schedulers of ComfyUI work with it. Its \
latents are the pixels themselves, so *Load VAE* is set to `pixel_space`.

The dynamic threshold of the published run is part of the model, so *cfg* can stay at 9. The timesteps are the core \
scheduler's, so the video is not the very one that *Show-1 Keyframes* makes. The other stages have nodes for this too: \
*Show-1 Interpolation Conditioning* and *Show-1 Pixel SR Conditioning*.

""" + models("base", "t5")

OWN_VIDEO = """

**Video.** Choose a file in *Load Video*. *frames* says how many of its first are taken, so that a first run is quick; \
set it higher as memory allows."""

SMOOTHER_READ_ME = """## Any video, smoother

Three new frames are drawn between every two, as the prompt describes what moves, and the frame rate rises by as much: \
n frames become 4n - 3.""" + OWN_VIDEO + """

**Size.** The model was trained on 64x40. Larger sizes, in multiples of 8, keep more of the picture and are less \
certain to move well; *Make any video larger* can follow.

""" + models("interpolation", "t5", t5="t5")

LARGER_READ_ME = """## Any video, larger

The video is scaled to 576x320, and detail that fits the prompt is drawn into it. *denoise* says how much may change: \
0.8 is the published value for clips that Show-1 made; less keeps more of yours.""" + OWN_VIDEO + "\n\n" + models("sr2")

MINI_READ_ME = """## Show-1 mini: the whole cascade on a CPU

The same five stages as the real ones, small enough for any computer. The models ship with the pack: nothing \
to download. They know balls, cubes and cones in eight colours that move, before a plain ground or by day, at sunset and \
at night: *a red ball moving right at sunset*, *a blue cube bouncing by day*, *a green cone growing*.

29 frames of 256x160, at 8 frames a second. """ + INSIDE.format(node="Text to video")

LEARN = """

**Go on.** Cancel keeps what has been learnt: run again and it goes on. *Save the LoRA* writes `output/loras`, which core LoRA \
loaders list after R."""

MOTION_READ_ME = """## Learn a motion from a clip

Eight frames of your clip teach the keyframe model how it moves. The LoRA that comes out makes the *Prompt* move so, started \
from the clip's own noise (*Invert*; a lower *prior* leaves the looks freer). Say in *What the clip shows* what moves, \
without place and colours.""" + LEARN + "\n\n" + models("base", "t5")

STYLE_READ_ME = """## Learn a style

Spatial layers of the keyframe model learn how your clip looks. Name the style in *What the clip shows* and in the *Prompt*. \
The later stages draw light and colours anew: let each learn the style from the same clip.""" + LEARN
STYLE_READ_ME += "\n\n" + models("base", "t5")

OTHER_READ_ME = """## Same motion, other subject

A LoRA that *Learn a motion from a clip* has saved, on another prompt. It acts in the first half of the steps, where the \
motion is decided, and leaves the other half, where looks are, to the model: *Up to here* says where it ends. \
*strength_model* weighs it.

"""
MINI_OTHER_READ_ME = OTHER_READ_ME.replace("a clip*", "a clip, mini (CPU)*") + """With Show-1 mini, on a CPU. Most other \
solids follow, with less of the amplitude than when it acts in all steps: set *Up to here* to 1 for that."""
OTHER_READ_ME += models("base", "t5")

MINI_LEARN = """With Show-1 mini, on a CPU, in about a minute of one core; nothing to download. What it learns from is drawn in \
*Clip*: """
MINI_MOTION_READ_ME = "## Learn a motion\n\n" + MINI_LEARN + """a square on a zigzag, which no word of the mini's means. Ask for \
another colour and solid in *Prompt*, without a motion. Most of them follow it; where one does not, take another *seed*.

The mini learns motion by *frame error*, in whole matrices of attention and convolutions over frames. The published models' \
set, *q k v*, does not move it.""" + LEARN
MINI_STYLE_READ_ME = "## Learn a style\n\n" + MINI_LEARN + """a square on a ground of the colour of dusk. *ground* there is \
the colour. Other solids take on nearly all of it, and keep their colour and motion.

Only the keyframes learn it here. The later stages draw the ground anew and take most of it away, unless each learns it \
from the same clip.""" + LEARN
