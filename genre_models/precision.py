"""Which precision `auto` means on this machine, told without importing a framework."""

from __future__ import annotations

from pathlib import Path

# What oneDNN computes bfloat16 with; without them it is emulated, and slower than float32.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def resolve_precision(precision: str, cpuinfo: str | Path = "/proc/cpuinfo", devices: str | Path = "/dev") -> str:
    """Settle a precision.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        Anything but ``auto`` is returned as it is.
    cpuinfo, devices : str or Path
        Where Linux tells of processors and of devices; on other systems neither exists, and float32 is taken.

    Returns
    -------
    str
        ``float16`` with an NVIDIA GPU, ``bfloat16`` where the CPU computes it in hardware, ``float32`` elsewhere.
    """
    if precision != "auto":
        return precision
    if any(Path(devices).glob("nvidia[0-9]*")):
        return "float16"
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    flags = {flag for line in text.splitlines() if line.startswith("flags") for flag in line.partition(":")[2].split()}
    return "bfloat16" if flags & BFLOAT16_FLAGS else "float32"
