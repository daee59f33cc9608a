"""Workflows: read, converted, their inputs set, queued on a running ComfyUI and followed to their end."""
