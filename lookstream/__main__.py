"""``python -m lookstream`` is ``lookstream``."""

from lookstream.cli.app import app

if __name__ == "__main__":
    app()
