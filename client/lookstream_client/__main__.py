"""Run the command line: ``python -m lookstream_client``."""

from lookstream_client.cli import main

main()
