"""The notes in the templates on longer clips, given frames, prompts over time, and other models that finish a clip."""

from __future__ import annotations

from .notes import CASCADE, INSIDE, LICENCE, models

WITHOUT_FIRST_FRAME = tuple(name for name in CASCADE if name != "first-frame")
PICTURES = """

**Size.** The middle of a picture is taken, as much as has the shape of the keyframes, 64x40. So little is seen of it at \
first that it should be simple: one thing, large, before a calm background. *Upscale* is shown the picture at 256x160."""

LONGER_READ_ME = """## Longer video

64 keyframes become 253 frames: half a minute, at 8 frames a second. The keyframe model sees eight at once; windows of time \
slide over the clip in every step and share four frames with their neighbours. *free_noise* lets all windows begin from the same \
noise, so that what is shown stays the same.

*keyframes* is the length: n of them become 4n - 3 frames. Time grows with it; memory does not, but for the finished frames.

""" + INSIDE.format(node="Text to long video") + "\n\n" + models(*CASCADE, t5="t5")

ANIMATE_READ_ME = """## Animate a picture

The first keyframe is your picture; the others are drawn to follow it as the prompt says. Describe what is seen and what \
happens.

*keyframes* is the length: n of them become 4n - 3 frames. More than eight are drawn in windows of time, which begin from the \
same noise (*Show-1 Free Noise*).""" + PICTURES + "\n\n" + INSIDE.format(node="Animate a picture") + "\n\n" + models(
    *WITHOUT_FIRST_FRAME, t5="t5")

JOIN_READ_ME = """## From this frame to that

The first keyframe is one picture, the last another; what lies between is drawn as the prompt says. They should be of one \
scene.""" + PICTURES + "\n\n" + INSIDE.format(node="From frame to frame") + "\n\n" + models(*WITHOUT_FIRST_FRAME, t5="t5")

LOOP_READ_ME = """## Seamless loop

Keyframes are drawn once to get a first frame, and again with this frame as the first and the last. Of the 29 frames the last \
is left out: 28 that lead into their own beginning. Ask for what comes back by itself: *waves roll in*, *a fire burns*.

A prompt that changes on the way (*0: a flower opens | 4: a flower closes*) needs a plain one beside it for the last stage; the \
template *Prompts over time* has both.

To loop a picture of yours, load it inside in place of *Its first frame*.

""" + INSIDE.format(node="Seamless loop") + "\n\n" + models(*CASCADE, t5="t5")

TRAVEL_READ_ME = """## Prompts over time

`0: a red ball moving right | 4: a blue ball moving right`: each prompt stands behind the number of the keyframe from which on \
it holds, with a bar between them. Keyframes count from 0, and there are eight; each is half a second of the video. \
What something looks like may change; one motion is drawn over all eight, so another direction is seldom followed.

The last stage reads a prompt of its own, which says what is seen in all of the video.

""" + INSIDE.format(node="Prompts over time") + "\n\n" + models(*CASCADE, t5="t5")

FINISH_READ_ME = """## Draft here, finish anywhere

Show-1 decides who moves where, in seconds, on frames of 64x40; another model of yours draws it large. Here it is Wan 2.1, with \
core nodes; any video-to-video model does.

1. Run: four takes on a sheet. Set *take* to the one you like.
2. Wake the muted nodes: drag over them with Ctrl held, then Ctrl+M. Run.
3. *denoise* of *Redraw* says how much the other model decides: 0.6 keeps place and motion, 0.8 little more than the idea.

**Models.** """ + ("In this pack's folder, `python scripts/download.py ../../models --only base,t5,interpolation`. " + LICENCE
                   + """ Wan's three files are at [Comfy-Org/Wan_2.1_ComfyUI_repackaged]\
(https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged).""")
