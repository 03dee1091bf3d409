"""Make ready what a run of any engine finds in the cache: the scan, the split, the features.

    python -m scripts.peers.preparing --space FILE --data SOURCE --studies-dir DIR --seed N

The last line that is printed is JSON: how many tracks each side has.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from scripts.peers.opened import open_space


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE")
    parser.add_argument("--studies-dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    tracks = open_space(o.space, o.data, o.seed, o.studies_dir.resolve(), (5,)).task["tracks"]
    print(json.dumps({part: sum(track["part"] == part for track in tracks) for part in ("train", "validation")}))
    return 0


if __name__ == "__main__":
    from scripts.ending import exit_code_of

    sys.exit(exit_code_of(main, stopped="stopped"))
