"""How the shipped weights are made and scored."""
