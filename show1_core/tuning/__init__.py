"""Fine-tuning of any Show-1 UNet on clips of the user: what is learnt, and from what."""
