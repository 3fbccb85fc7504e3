"""Train and score the shipped weights. Start with `trainer.py`; `make train` runs all steps."""
