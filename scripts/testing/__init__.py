"""What tests need beside a ComfyUI: a browser, the tools that install and publish node packs, other versions."""
