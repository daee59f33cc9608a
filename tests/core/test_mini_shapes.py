"""The rendered clips: deterministic, the same at every size, and with combinations kept from training."""

import numpy as np
import pytest

from mini.shapes import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    Kind,
    caption,
    draw,
    frame_times,
    is_held_out,
    keyframe_times,
    kinds,
    render,
    scene_of,
)


def test_there_is_enough_to_tell_apart():
    assert len(SHAPES) >= 3 and len(COLOURS) >= 6 and len(MOTIONS) >= 6 and len(BACKGROUNDS) >= 3
    assert len(frame_times()) == 29


def test_the_same_seed_gives_the_same_clips():
    first, second = (draw(np.random.default_rng(5), 8) for _ in range(2))
    assert first == second
    assert np.array_equal(render(first, frame_times(), (16, 24)), render(second, frame_times(), (16, 24)))
    assert draw(np.random.default_rng(6), 8) != first


def test_held_out_combinations_are_never_drawn_for_training():
    scenes = draw(np.random.default_rng(0), 500)
    assert not any(is_held_out(scene.kind) for scene in scenes)
    assert all(is_held_out(scene.kind) for scene in draw(np.random.default_rng(0), 50, held_out=True))


def test_every_word_of_a_held_out_combination_is_seen_in_training():
    seen = kinds(held_out=False)
    for word in ("colour", "shape", "motion", "background"):
        assert {getattr(kind, word) for kind in kinds(held_out=True)} <= {getattr(kind, word) for kind in seen}


def test_keyframes_are_every_fourth_frame():
    assert np.allclose(keyframe_times(), frame_times()[::4])


def test_sizes_show_the_same_picture():
    scenes = draw(np.random.default_rng(1), 12)
    small = render(scenes, keyframe_times(), (16, 24))
    large = render(scenes, keyframe_times(), (64, 96))
    averaged = large.reshape(12, 8, 16, 4, 24, 4, 3).mean(axis=(3, 5))
    assert np.abs(averaged - small).mean() < 0.01


def test_edges_are_smooth():
    scene = scene_of(np.random.default_rng(2), Kind("red", "circle", "growing"))
    red = render([scene], np.array([0.5]), (64, 96))[0, 0, :, :, 0]
    between = (red > 0.1) & (red < 0.85)
    assert 10 < between.sum() < 0.1 * red.size


@pytest.mark.parametrize(
    "motion, axis, sign",
    [("moving left", 1, -1), ("moving right", 1, 1), ("moving up", 0, -1), ("moving down", 0, 1)],
)
def test_motions_go_where_their_words_say(motion, axis, sign):
    scene = scene_of(np.random.default_rng(3), Kind("green", "square", motion))
    green = render([scene], frame_times(), (64, 96))[0, :, :, :, 1] > 0.4
    first, last = (np.argwhere(green[frame]).mean(axis=0)[axis] for frame in (0, -1))
    assert sign * (last - first) > 10


def test_a_time_for_each_scene():
    scenes = draw(np.random.default_rng(4), 2)
    each = render(scenes, np.array([[0.0, 0.5], [0.5, 1.0]]), (16, 24))
    assert np.array_equal(each[1], render(scenes[1:], np.array([0.5, 1.0]), (16, 24))[0])


def test_captions_name_every_background_but_the_default():
    rng = np.random.default_rng(0)
    assert caption(rng, Kind("red", "circle", "growing", "white")) == "a red circle growing on a white background"
    told = {caption(rng, Kind("red", "circle", "growing")) for _ in range(40)}
    assert told == {"a red circle growing", "a red circle growing on a black background"}
