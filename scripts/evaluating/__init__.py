"""What `scripts/evaluate.py` is made of: clips of a folder, their decoding, measured features that outlive a kill, the report."""
