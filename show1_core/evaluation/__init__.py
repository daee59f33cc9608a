"""Videos measured: FVD, FID-vid, Inception score, CLIPSIM, frame consistency; networks and real videos are the user's.

`distances` and `scores` are the formulas, `networks` the files they need, `extractors` how frames reach a network,
`statistics` a measured set as a file, `prompts` what to draw for a table, which needs no PyTorch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .distances import frechet_distance

__all__ = ["frechet_distance"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # as in the package above
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import distances

        return getattr(distances, name)
