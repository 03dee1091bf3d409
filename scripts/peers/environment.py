"""What a measurement ran on: processor, memory, load, versions, the program's own revision."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

#: Packages that may change a figure.
PACKAGES = ("tensorflow", "keras", "keras-tuner", "ray", "optuna", "numpy")
#: Flags of a processor that decide what arithmetic is fast.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str | None]:
    """Of each package its version, None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """The processor's name and flags, its cores, and the machine's memory."""
    model, flags = platform.processor() or platform.machine(), set()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() == "flags":
                flags = set(value.split())
    return {
        "cpu": model,
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
    }


def load() -> float:
    """Processes that wanted a core in the last minute: what ran beside a measurement that is about to begin."""
    return round(os.getloadavg()[0], 2)


def revision() -> str | None:
    """The commit that is measured, with ``+`` where the program's files differ from it; None outside a repository."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "search", "genre_models", "scripts", "spaces")
    return None if commit is None else commit + ("+" if changed else "")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
