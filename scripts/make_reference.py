"""Write docs/reference.md and docs/space.schema.json from what the engine, the task and the families declare.

A composition root: declarations are the task's, the file format is the engine's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from genre_models.families import FAMILIES
from genre_models.objective import METRICS
from scripts.reference.page import reference_page
from scripts.reference.schema import space_schema
from search.config import Settings
from search.errors import SearchError
from search.run import SECTIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def texts() -> dict[str, str]:
    """Name to content of each file that is made."""
    schema = space_schema(FAMILIES, Settings, SECTIONS, METRICS)
    return {
        "reference.md": reference_page(FAMILIES, Settings, SECTIONS),
        "space.schema.json": json.dumps(schema, indent=1, ensure_ascii=False) + "\n",
    }


def stale(docs: Path) -> list[str]:
    """Names of the files in a folder that are missing or not as they would be made now."""
    return [name for name, text in texts().items() if not (docs / name).is_file() or (docs / name).read_text(encoding="utf-8") != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    p = argparse.ArgumentParser(prog="python scripts/make_reference.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a file is not current")
    p.add_argument("--docs", type=Path, default=DOCS, metavar="DIR", help="where the files lie (default: docs/)")
    options = p.parse_args(arguments)
    try:
        old = stale(options.docs)
        if options.check and old:
            print(f"not current: {', '.join(old)}; run python scripts/make_reference.py")
            return 1
        for name in old:
            (options.docs / name).write_text(texts()[name], encoding="utf-8")
    except (SearchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{'written' if old else 'current'}: {', '.join(old or texts())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
