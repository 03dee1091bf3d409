"""Write a saved model for other runtimes: ONNX, TensorFlow Lite, SavedModel; and show that it says the same there.

A composition root: conversion and comparison are `genre_models.export`'s.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from rich.console import Console

from genre_models.doctor.findings import shown
from genre_models.export import FORMATS, LARGEST_DIFFERENCE
from genre_models.saved_model import SavedModel, open_saved
from scripts.ending import exit_code_of
from search.location import locate

EPILOG = f"""what is written, into studies/NAME/final/export/ unless --output says otherwise:
  onnx         model.onnx     for ONNX Runtime; networks and classifiers of scikit-learn
  tflite       model.tflite   for TensorFlow Lite (LiteRT), with built-in operations only; networks
  saved_model  saved_model/   for TensorFlow and its servers; networks
All compute in float32, also what was trained in bfloat16, and take features as float32. Labels and how a file becomes features are inside;
beside it lies a program that runs it. Probabilities are compared with the original's through the runtime itself, on development tracks in the
study's cache, or on --check FILES; where one differs by more than {LARGEST_DIFFERENCE:g} nothing is written.

examples:
  python scripts/export.py --study cnn --to onnx
  python scripts/export.py --model studies/cnn/final --to tflite --output ~/app --check ~/new_music
exit codes: 0 written; 1 the exported model says something else; 2 bad input, or a package is missing; 130 stopped by the user"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python scripts/export.py", description="Write a model that scripts/final_eval.py made for another runtime, checked against the original.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, metavar="DIR", help="studies/NAME/final, its model/, one of its also/FAMILY, or a copy of one")
    which.add_argument("--study", metavar="NAME", help="the study whose final/ is meant")
    p.add_argument("--to", required=True, choices=FORMATS, help="which form")
    p.add_argument("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="where studies are kept (default: ./studies)")
    p.add_argument("--output", type=Path, metavar="DIR", help="where to (default: export/ beside the model)")
    p.add_argument("--check", nargs="+", default=(), metavar="FILE", help="compare on these files or folders")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = parser().parse_args(arguments)
    console = Console(soft_wrap=True, emoji=False, highlight=False, markup=False)
    return exit_code_of(lambda: export(options, console), stopped="stopped; nothing is written", elsewhere="choose another place with --output, or free space there")


def export(options: argparse.Namespace, console: Console) -> int:
    """Convert, compare, write, and say how to use it."""
    from genre_models.export.write import export_model

    started = time.perf_counter()
    model = open_saved(options.model or locate(options.studies_dir, options.study).folder / "final")
    folder = (options.output or _beside(model)).expanduser().absolute()
    console.print(f"model: {shown(model.name)}{' (demo: synthesised music)' if model.pipeline.get('demo') else ''}")
    if model.unchecked is not None:
        console.print(f"note: {model.unchecked}: that this is the model that was evaluated is not checked")
    made = export_model(model, options.to, folder, options.check)
    console.print(
        f"largest difference of a probability: {made.difference:.2g} (at most {LARGEST_DIFFERENCE:g} is allowed), {made.same_class} of {made.n_items} most probable "
        f"classes the same; compared on {made.compared_on}"
    )
    console.print(f"written: {made.path} ({made.n_bytes / 1e6:.2f} MB, float32) in {time.perf_counter() - started:.1f} s; labels and feature settings are inside")
    console.print(f"how to use it: python {shlex.quote(str(made.usage))} FILE, which is this program:\n")
    console.print(made.usage.read_text(encoding="utf-8"))
    return 0


def _beside(model: SavedModel) -> Path:
    """``export/`` in the look's folder, or in the model's own where it was moved from there."""
    folder = model.folder
    is_in_a_look = folder.name == "model" and (model.metrics is not None or folder.parent.name == "final" or folder.parent.name.startswith("look-"))
    if is_in_a_look:  # whatever lies in model/ is on the look's receipt
        return folder.parent / "export"
    if folder.parent.name == "also":
        return folder.parents[1] / "export" / folder.name
    return folder / "export"


if __name__ == "__main__":
    sys.exit(main())
