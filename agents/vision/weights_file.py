"""Where the shipped weights are; apart from the model, so that torch is not loaded to know it."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "garment-2.safetensors"
