"""How the templates under example_workflows/ are described and laid out."""
