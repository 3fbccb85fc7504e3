"""Arguments that all training commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.photos.data import default_cache


def training_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all trainings have; ``doc`` is its help."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder of the photo archives; default LOOKSTREAM_DATA"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder for decoded photos"
    )
    parser.add_argument("--net", type=Path, required=True, help="weights of trainers.train")
    parser.add_argument("--out", type=Path, required=True, help="the weights file to write")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the command line's arguments; set the number of torch threads."""
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    return given
