"""The stand-in passes for a ComfyUI of the lowest version that the pack takes."""

__version__ = "0.3.75"
