"""What downloading checkpoints takes."""
