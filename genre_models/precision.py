"""Which precision `auto` means on this machine, told without importing a framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# What oneDNN computes bfloat16 with; without them it is emulated, and several times slower than float32.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def has_gpu(devices: str | Path = "/dev") -> bool:
    """Whether Linux tells of an NVIDIA GPU here."""
    return any(Path(devices).glob("nvidia[0-9]*"))


def resolve_precision(
    precision: str, cpuinfo: str | Path = "/proc/cpuinfo", devices: str | Path = "/dev", measure: Callable[[], str] | None = None, *, gpus: bool = True
) -> str:
    """Settle a precision.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        Anything but ``auto`` is returned as it is.
    cpuinfo, devices : str or Path
        Where Linux tells of processors and of devices; on other systems neither exists, and float32 is taken.
    measure : callable, optional
        Tells which of float32 and bfloat16 is the faster one (`genre_models.precision_probe`); asked only of a processor that has bfloat16. Without it such a
        processor is taken at its word.
    gpus : bool
        Whether a GPU, where there is one, will be used.

    Returns
    -------
    str
        ``float16`` on an NVIDIA GPU; else, of a processor that computes bfloat16 in hardware, what `measure` says, or ``bfloat16``; ``float32`` elsewhere.
    """
    if precision != "auto":
        return precision
    if gpus and has_gpu(devices):
        return "float16"
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    flags = {flag for line in text.splitlines() if line.startswith("flags") for flag in line.partition(":")[2].split()}
    if not flags & BFLOAT16_FLAGS:
        return "float32"
    return "bfloat16" if measure is None else measure()
