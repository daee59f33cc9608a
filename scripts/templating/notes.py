"""The notes in the templates: what a graph does, which models it wants, what to change."""

from __future__ import annotations

WEIGHTS = """**Models.** `scripts/download.py` of this pack fetches them. Or copy these repositories, folders as they are, \
into `ComfyUI/models/show1`, and press R:

{downloads}

The weights of Show-1 may not be used commercially (CC BY-NC 4.0)."""
ANY_T5 = "\n\n**T5.** *Load T5* also lists the `t5xxl_*.safetensors` that you may have in `models/text_encoders`."
READ_ME = """## Show-1: text to video

Eight small keyframes are drawn from the prompt, the motion between them is filled in, and 29 frames are enlarged \
twice: 64x40, 256x160, 576x320, at 8 frames a second.

""" + WEIGHTS + """ DeepFloyd's are under a licence of their own, to be accepted on the model's page. Of \
show-1-interpolation and show-1-sr1 the `text_encoder`, 11.5 GB, is not needed.""" + ANY_T5 + """

{settings} The same seed gives the same noise on every machine; to try other takes, \
change the seed of *Keyframes*: it decides what the video shows.

**Without DeepFloyd's model** delete group 3, or give *first_frame* any upscaler's picture of 256x160."""

PUBLISHED_STEPS = "**Settings** are those of the published run."
FEW_STEPS = """**Settings** are the published ones but for *steps*: 25, 25, 15, 25, 20 instead of 75, 75, 70, 125, 50, a quarter \
of the network's calls. Good for finding the prompt and the seed; take both to *Show-1 text to video* for the final video."""

KEYFRAMES_READ_ME = """## Show-1: keyframes only

What the keyframes show decides the whole video, and they are quick to draw. Queue this a few times: the seed changes \
after every run. Take the seed you like to *Show-1 text to video*.

""" + WEIGHTS + ANY_T5

DRAFTS_READ_ME = """## Show-1: drafts, pick, then upscale

What the keyframes show decides the whole video, and they are quick to draw.

1. Run. Six takes appear on one contact sheet; all later stages are muted, so they cost nothing.
2. Like none? Change the seed of *Drafts* and run again. Like one? Set *take* to its number.
3. Wake the stages: drag over groups 2 to 5 and *Video* with Ctrl held, then Ctrl+M. Run: the takes are not drawn again.

""" + WEIGHTS

CORE_READ_ME = """## Show-1: keyframes through core samplers

The keyframe model is a native MODEL: LoRA loaders, guiders, samplers and schedulers of ComfyUI work with it. Its \
latents are the pixels themselves, so *Load VAE* is set to `pixel_space`.

The dynamic threshold of the published run is part of the model, so *cfg* can stay at 9. The timesteps are the core \
scheduler's, so the video is not the very one that *Show-1 Keyframes* makes. The other stages have nodes for this too: \
*Show-1 Interpolation Conditioning* and *Show-1 Pixel SR Conditioning*.

""" + WEIGHTS + ANY_T5

OWN_VIDEO = """

**Video.** Choose a file in *Load Video*. *Frames* takes the first {frames} of it, so that a first run is quick; \
set it higher as memory allows."""

SMOOTHER_READ_ME = """## Any video, smoother

Three new frames are drawn between every two, as the prompt describes what moves, and the frame rate rises by as much: \
n frames become 4n - 3.""" + OWN_VIDEO.format(frames=16) + """

**Size.** The model was trained on 64x40. Larger sizes, in multiples of 8, keep more of the picture and are less \
certain to move well; *Make any video larger* can follow.

""" + WEIGHTS + ANY_T5

LARGER_READ_ME = """## Any video, larger

The video is scaled to 576x320, and detail that fits the prompt is drawn into it. *denoise* says how much may change: \
0.8 is the published value for clips that Show-1 made; less keeps more of yours.""" + OWN_VIDEO.format(frames=29) + """

""" + WEIGHTS

MINI_READ_ME = """## Show-1 mini: the whole cascade on a CPU

The same five stages as the real ones, small enough for any computer. It ships with the pack: nothing \
to download. It has only ever seen coloured shapes that move, so ask for those: *a red circle moving right*, \
*a blue square moving down*.

29 frames of 192x128, at 8 frames a second."""


def downloads(*names: str) -> str:
    """Lines of a note: where each model comes from."""
    owners = {"IF-II-L-v1.0": "DeepFloyd"}
    lines = [f"- [{owners.get(name, 'showlab')}/{name}](https://huggingface.co/{owners.get(name, 'showlab')}/{name})"
             for name in names]
    return "\n".join(lines)
