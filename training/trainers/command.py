"""What the trainings' commands have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.photos.data import default_cache


def training_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser of `--data`, `--cache`, `--net`, `--out` and `--threads`, described by ``doc``."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="archives' folder; else LOOKSTREAM_DATA")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="decoded photos' place")
    parser.add_argument("--net", type=Path, required=True, help="weights of trainers.train")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line's arguments; torch is told its threads."""
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    return given
