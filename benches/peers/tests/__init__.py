"""What can be checked of the harness without an engine: `python -m unittest` in the folder above."""
