"""A table of prompts, run through a workflow by any number of machines."""
