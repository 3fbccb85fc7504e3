"""Print the size of the code: modules per folder, and lines of files and functions.

    python tools/code_stats.py            # this checkout
    python tools/code_stats.py DIR        # another checkout, for example one of an older version

Tests count in the total of lines only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SHORT = 40
FULL_FOLDER = 15


def main(root: Path) -> None:
    """Print the statistics of the checkout at ``root``."""
    listed = subprocess.run(  # noqa: S603 - git and a fixed pattern
        ["git", "-C", str(root), "ls-files", "*.py"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    texts = {name: (root / name).read_text() for name in listed.stdout.split()}
    product = {name: text for name, text in texts.items() if not name.startswith("tests/")}
    modules = {
        name: text
        for name, text in product.items()
        if not name.endswith(("__init__.py", "__main__.py"))
    }
    folders = Counter(str(Path(name).parent) for name in modules)
    files = [text.count("\n") for text in modules.values()]
    functions = [lines for text in product.values() for lines in function_lines(text)]
    print(f"lines of Python: {total(texts)}, without tests: {total(product)}")
    print(f"modules: {len(modules)} in {len(folders)} folders")
    print(f"modules under {SHORT} lines: {sum(lines < SHORT for lines in files)}")
    print(f"folders with more than {FULL_FOLDER} modules: {crowded(folders)}")
    print(f"lines of a file (median, p90, max): {spread(files)}")
    print(f"lines of a function (median, p90, max): {spread(functions)}")
    print("modules per folder:")
    for folder, count in folders.most_common():
        print(f"  {count:3} {folder}")


def function_lines(text: str) -> list[int]:
    """Return the length of each function in ``text``, in lines."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def total(texts: dict[str, str]) -> int:
    """Return the number of lines in all texts."""
    return sum(text.count("\n") for text in texts.values())


def crowded(folders: Counter[str]) -> str:
    """Return the folders with more than `FULL_FOLDER` modules, or "none"."""
    found = [f"{name} ({count})" for name, count in folders.items() if count > FULL_FOLDER]
    return ", ".join(found) or "none"


def spread(values: Sequence[int]) -> str:
    """Return median, 90th percentile and maximum of ``values``."""
    ordered = sorted(values)
    places = (len(ordered) // 2, len(ordered) * 9 // 10, len(ordered) - 1)
    return ", ".join(str(ordered[place]) for place in places)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
