"""The small world: deterministic, the same at every size, with combinations kept from training, and pretty where it counts."""

from __future__ import annotations

import numpy as np
import pytest

from mini import world
from mini.grammar import (
    COLOURS,
    MOTIONS,
    PLACES,
    RELATIONS,
    SOLIDS,
    Kind,
    Other,
    caption,
    every_phrase,
    is_held_out,
    judged_prompts,
    kinds,
)
from mini.render import render
from mini.world import RGB, draw, frame_times, keyframe_times, scene_of

MIDDLE = (80, 128)


def clip(kind: Kind, size: tuple[int, int] = MIDDLE, seed: int = 3) -> np.ndarray:
    """All frames of a scene of this kind, (F, H, W, 3)."""
    return render([scene_of(np.random.default_rng(seed), kind)], frame_times(), size)[0]


def track(kind: Kind) -> np.ndarray:
    """(F, 3): x, y and size, in heights, of a green solid on black."""
    green = clip(kind)[..., 1] > 0.2
    middles = np.array([np.argwhere(frame).mean(axis=0) for frame in green]) / MIDDLE[0]
    return np.column_stack([middles[:, 1], middles[:, 0], np.sqrt(green.sum(axis=(1, 2))) / MIDDLE[0]])


def test_there_is_enough_to_tell_apart():
    assert len(COLOURS) == len(RGB) == 8 and len(SOLIDS) == 3 and len(MOTIONS) == 8
    assert PLACES.keys() == world.PLACES.keys() and len(PLACES) == 6
    assert 8.5 < (len(kinds(True)) + len(kinds(False))) / len(kinds(True)) < 9.5


def test_the_same_seed_gives_the_same_clips():
    first, second, other = (draw(np.random.default_rng(seed), 6, pairs=0.5) for seed in (5, 5, 6))
    assert first == second != other
    assert np.array_equal(render(first, keyframe_times(), (20, 32)), render(second, keyframe_times(), (20, 32)))


def test_held_out_combinations_are_never_drawn_for_training():
    assert not any(is_held_out(scene.kind) for scene in draw(np.random.default_rng(0), 2000, pairs=0.3))
    assert all(is_held_out(scene.kind) for scene in draw(np.random.default_rng(0), 100, held_out=True))


@pytest.mark.parametrize("words", [("colour", "solid"), ("colour", "motion"), ("solid", "motion"), ("colour", "place"),
                                   ("solid", "place"), ("motion", "place")])
def test_any_two_words_of_a_held_out_combination_are_seen_together_in_training(words):
    def told(held_out: bool) -> set[tuple[str, ...]]:
        return {tuple(getattr(kind, word) for word in words) for kind in kinds(held_out)}

    assert told(True) <= told(False)


def test_keyframes_are_every_fourth_frame():
    assert np.allclose(keyframe_times(), frame_times()[::4])


@pytest.mark.parametrize("solid", SOLIDS)
def test_sizes_show_the_same_picture(solid):
    rng = np.random.default_rng(1)
    scenes = [scene_of(rng, Kind("red", solid, motion, place)) for motion in MOTIONS for place in ("white", "sunset")]
    small, large = (render(scenes, keyframe_times()[::3], size) for size in ((20, 32), (80, 128)))
    averaged = large.reshape(*large.shape[:2], 20, 4, 32, 4, 3).mean(axis=(3, 5))
    assert np.abs(averaged - small).mean() < 0.01


def test_edges_are_smooth():
    red = clip(Kind("red", "ball", "growing"))[14, :, :, 0]
    between = (red > 0.1) & (red < 0.3)  # darker than the ball's dark side, lighter than its shadow's place
    assert 20 < between.sum() < 0.1 * red.size


@pytest.mark.parametrize("motion, column, least", [
    ("moving left", 0, -0.4), ("moving right", 0, 0.4), ("moving up", 1, -0.25), ("moving down", 1, 0.2),
    ("growing", 2, 0.2), ("shrinking", 2, -0.12)])
@pytest.mark.parametrize("solid", SOLIDS)
def test_motions_go_where_their_words_say(solid, motion, column, least):
    path = track(Kind("green", solid, motion))
    change = path[-1] - path[0]
    assert change[column] / least > 1
    assert np.argmax(np.abs(change) / (0.4, 0.2, 0.12)) == column


def test_bouncing_comes_back_twice_and_circling_once():
    jumps, turns = track(Kind("green", "ball", "bouncing")), track(Kind("green", "ball", "circling"))
    for path in (jumps, turns):
        assert np.allclose(path[0], path[-1], atol=0.02)
    assert jumps[7, 1] < jumps[14, 1] - 0.2 > jumps[21, 1] and abs(jumps[14, 1] - jumps[0, 1]) < 0.03
    assert turns[7, 0] - 0.6 > turns[21, 0] and turns[14, 2] < 0.8 * turns[0, 2]  # right, left, and small behind


def test_shadows_darken_the_ground_and_nothing_leaves_the_range():
    frames = clip(Kind("yellow", "cube", "moving down", "white"))
    ground = frames[-1][..., 2]  # blue: the cube takes it away, the shadow weakens it
    assert frames.min() >= 0 and frames.max() <= 1
    assert ((ground > 0.3) & (ground < 0.8)).sum() > 50


@pytest.mark.parametrize("relation, motion, axis, sign", [("above", "moving left", 0, -1), ("below", "moving right", 0, 1),
                                                          ("left of", "moving up", 1, -1), ("right of", "bouncing", 1, 1)])
def test_two_solids_lie_as_the_caption_says(relation, motion, axis, sign):
    frames = clip(Kind("red", "ball", motion, other=Other(relation, "blue", "cube")))
    red, blue = (frames[..., hue] - frames[..., 2 - hue] > 0.25 for hue in (0, 2))
    middle = [np.argwhere(mask).mean(axis=0)[axis + 1] for mask in (red, blue)]
    assert sign * (middle[0] - middle[1]) > 0.2 * MIDDLE[0]
    assert not (red & blue).any() and blue[0].sum() == pytest.approx(blue[-1].sum(), rel=0.05)


@pytest.mark.parametrize("kind, shortest", [
    (Kind("red", "ball", "moving right"), "a red ball moving right"),
    (Kind("pink", "cone", "circling", "sunset"), "a pink cone circling at sunset"),
    (Kind("cyan", "cube", "bouncing", "gray"), "a cyan cube bouncing on a gray background"),
    (Kind("red", "ball", "moving left", "night", Other("above", "blue", "cube")),
     "a red ball moving left above a blue cube at night"),
])
def test_captions(kind, shortest):
    assert kind.caption == shortest
    rng = np.random.default_rng(0)
    told = {caption(rng, kind) for _ in range(200)}
    assert shortest in told and len(told) >= 8
    words = {word for phrase in every_phrase() for word in phrase.split()}
    assert {word for text in told for word in text.split()} <= words


def test_the_words_of_the_first_edition_are_known():
    words = " ".join(every_phrase())
    for word in ("circle", "square", "triangle", "moving left", "growing", "on a white background", *RELATIONS):
        assert word in words


def test_judged_prompts_are_spread_and_repeatable():
    assert judged_prompts(64) == judged_prompts(64) and len(set(judged_prompts(64))) == 64
    assert not set(judged_prompts(64)) & set(judged_prompts(64, held_out=True))
    assert all(any(f" {relation} a " in prompt for relation in RELATIONS) for prompt in judged_prompts(20, two=True))
