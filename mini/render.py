"""Draws scenes of the small world: solids shaded by one light, soft shadows, smooth edges at every size.

Coverage of a pixel is taken from the distance of its centre to an outline, clipped to one pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .world import AMBIENT, DIFFUSE, GLOSS, HOPS, HORIZON, LIGHT, ORBIT_DEPTH, PLACES, SHADOW, Scene, Solid

Field = np.ndarray  # float32, one value a pixel, (T, H, W)


def _smooth(x: Field) -> Field:
    """0 below 0, 1 above 1, and a smooth step between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _lit(across: Field, down: float | Field, towards: Field) -> Field:
    """Brightness of a surface with this normal."""
    facing = across * LIGHT[0] + down * LIGHT[1] + towards * LIGHT[2]
    return AMBIENT + DIFFUSE * np.maximum(facing, 0.0)


def _ball(u: Field, v: Field, pixel: Field) -> tuple[Field, Field, Field]:
    """(distance, brightness, gloss) of a ball of radius 1 around the origin."""
    square = u * u + v * v
    towards = np.sqrt(np.maximum(1.0 - square, 0.0))
    outside = np.sqrt(np.maximum(square, 1.0))
    # The highlight lies where the normal halves the angle between the light and the eye.
    half = LIGHT + np.array([0.0, 0.0, 1.0], np.float32)
    half = half / np.linalg.norm(half)
    gloss = GLOSS * np.maximum((u * half[0] + v * half[1]) + towards * half[2], 0.0) ** 24
    return np.sqrt(square) - 1.0, _lit(u / outside, v / outside, towards), gloss


def _cube(u: Field, v: Field, pixel: Field) -> tuple[Field, Field, Field]:
    """A cube seen a little from above and from the right: three faces."""
    side, edge = 0.9, 0.48  # half of the whole, and where the front face ends
    corner = (side + edge) * np.float32(0.7071068)
    slant = (u + v) * np.float32(0.7071068)
    distance = np.maximum(np.maximum(np.abs(u), np.abs(v)) - side, np.abs(slant) - corner)
    front = np.clip(0.5 - np.maximum(u - edge, -edge - v) / pixel, 0.0, 1.0)
    top = np.clip(0.5 - slant / pixel, 0.0, 1.0)
    beside = 0.46 + 0.52 * top
    return distance, beside + front * (0.76 - beside), np.zeros_like(u)


def _cone(u: Field, v: Field, pixel: Field) -> tuple[Field, Field, Field]:
    """A cone that stands on its round base."""
    tip, base, bulge = -1.08, 0.66, 0.24
    tall = base - tip
    sides = (tall * np.abs(u) - (v - tip)) / np.float32(np.hypot(tall, 1.0))
    below = v - base - bulge * np.sqrt(np.maximum(1.0 - u * u, 0.0))
    across = np.clip(u * tall / np.maximum(v - tip, 0.05), -1.0, 1.0)
    return np.maximum(sides, below), _lit(0.9 * across, -0.4, 0.9 * np.sqrt(1.0 - across * across)), np.zeros_like(u)


SHAPES = {"ball": _ball, "cube": _cube, "cone": _cone}


def poses(solid: Solid, times: np.ndarray) -> np.ndarray:
    """(4, T): x, y, radius and floor at these times."""
    moment = times.astype(np.float32)
    begin, end = (np.array(pose, np.float32)[:, None] for pose in (solid.begin, solid.end))
    x, y, radius, floor = begin + moment * (end - begin)
    turn = 2 * np.pi * moment
    away = solid.orbit[1] * (1.0 - np.cos(turn))  # up in the picture, and farther from the eye
    jump = (HOPS * moment) % 1.0
    radius = radius * (1.0 - (ORBIT_DEPTH / 2 * (1.0 - np.cos(turn)) if solid.orbit[0] else 0.0))
    return np.stack([x + solid.orbit[0] * np.sin(turn), y - away - solid.hop * 4.0 * jump * (1.0 - jump), radius, floor - away])


def _backdrop(place: str, y: np.ndarray, pixel: float) -> np.ndarray:
    """(H, 3) colours of the rows of an empty place."""
    top, horizon, far, near = (np.array(colour, np.float32) for colour in vars(PLACES[place]).values())
    height = np.clip((y[:, None] + 0.5) / (HORIZON + 0.5), 0.0, 1.0)
    depth = np.clip((y[:, None] - HORIZON) / (0.5 - HORIZON), 0.0, 1.0)
    ground = np.clip((y[:, None] - HORIZON) / pixel + 0.5, 0.0, 1.0)
    sky = top + height**1.5 * (horizon - top)
    return sky + ground * (far + depth * (near - far) - sky)


def _shade(solid: Solid, pose: np.ndarray, x: np.ndarray, y: np.ndarray) -> Field:
    """(T, H, W) how much light its shadow takes: wider and weaker the higher the solid is above its floor."""
    x0, y0, radius, floor = pose[:, :, None, None]
    lift = np.maximum(floor - y0 - radius, 0.0) / radius
    wide, high = radius * (1.15 + 0.15 * lift), radius * (0.30 + 0.06 * lift)
    place = np.sqrt(((x - x0 - 0.3 * radius) / wide) ** 2 + ((y - floor + 0.12 * radius) / high) ** 2)
    return SHADOW / (1.0 + 0.8 * lift) * _smooth((1.25 - place) / 0.8)


def _put(frames: np.ndarray, solid: Solid, pose: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Lay a solid over frames (T, H, W, 3)."""
    x0, y0, radius, _ = pose[:, :, None, None]
    pixel = 1.0 / (frames.shape[1] * radius)
    distance, brightness, gloss = SHAPES[solid.name]((x - x0) / radius, (y - y0) / radius, pixel)
    coverage = np.clip(0.5 - distance / pixel, 0.0, 1.0)[..., None]
    surface = np.array(solid.rgb, np.float32) * brightness[..., None]
    surface = surface + gloss[..., None] * (1.0 - surface)
    frames += coverage * (np.clip(surface, 0.0, 1.0) - frames)


def render_scene(scene: Scene, times: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames of one scene at times (T,) in [0, 1]: float32 (T, H, W, 3) in [0, 1]."""
    height, width = size
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)
    x = ((np.arange(width, dtype=np.float32) + 0.5 - 0.5 * width) / height)[None, :]
    frames = np.broadcast_to(_backdrop(scene.kind.place, y, 1.0 / height)[:, None], (len(times), height, width, 3)).copy()
    y = y[:, None]
    tracks = [poses(solid, times) for solid in scene.solids]
    for solid, pose in zip(scene.solids, tracks, strict=True):
        frames *= 1.0 - _shade(solid, pose, x, y)[..., None]
    for solid, pose in zip(scene.solids, tracks, strict=True):
        _put(frames, solid, pose, x, y)
    return frames


def render(scenes: Sequence[Scene], times: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames of the scenes at `times` ((T,) or, a row for each scene, (N, T)): float32 (N, T, H, W, 3) in [0, 1]."""
    moments = np.broadcast_to(np.atleast_2d(times), (len(scenes), np.shape(times)[-1]))
    return np.stack([render_scene(scene, each, size) for scene, each in zip(scenes, moments, strict=True)])
