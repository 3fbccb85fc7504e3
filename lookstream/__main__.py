"""Run the command line: ``python -m lookstream``."""

from lookstream_client.cli import main

if __name__ == "__main__":
    main()
