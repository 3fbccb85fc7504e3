"""Train and score the shipped weights. `make train` runs all steps.

Start with `trainers/trainer.py`. The serving code must not import this package.
"""
