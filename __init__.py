"""Show-1 for ComfyUI: text to video by a cascade of pixel and latent diffusion models."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # noqa: ANN201 - the type lives in the host
    """Called once by the host; nothing heavy is imported before."""
    from .nodes import Show1Extension

    return Show1Extension()
