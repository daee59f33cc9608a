"""A real ComfyUI: which one, how it is set up, started, watched and ended."""
