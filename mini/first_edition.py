"""Sizes of the weights that ship, which learned the flat world of `shapes.py`: the first edition of the mini."""

from __future__ import annotations

from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR

from .recipes import UNetRecipe, unet_config

KEYFRAMES_UNET = UNetRecipe(KEYFRAMES, 3, 6, (32, 32, 64), "RRS", text_dim=32)
INTERPOLATION_UNET = UNetRecipe(INTERPOLATION, 7, 6, (32, 32, 64), "RRS", text_dim=32)
FIRST_FRAME_UNET = UNetRecipe(FIRST_FRAME, 6, 6, (32, 32), "RR", text_dim=32, time_dim=32, temporal=False)
PIXEL_SR_UNET = UNetRecipe(PIXEL_SR, 6, 6, (32, 32), "RR", text_dim=32, time_dim=32)
LATENT_SR_UNET = UNetRecipe(LATENT_SR, 4, 4, (32,), "D", head_dim=4, text_dim=32)

__all__ = ["FIRST_FRAME_UNET", "INTERPOLATION_UNET", "KEYFRAMES_UNET", "LATENT_SR_UNET", "PIXEL_SR_UNET", "unet_config"]
