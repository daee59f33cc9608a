"""Videos measured: FVD, FID-vid, Inception score, CLIPSIM, frame consistency; networks and real videos are the user's.

`distances` and `scores` are the formulas, `networks` the files they need, `extractors` how frames reach a network,
`statistics` a measured set as a file, `prompts` what to draw for a table.
"""

from .distances import frechet_distance

__all__ = ["frechet_distance"]
