"""Speed: the pipeline beside its own compute floor, measured in one run."""
