"""A file system of a few MiB that only chosen processes see: a real full disk, which can be made larger."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs over a folder, in a mount namespace of its own.

    Parameters
    ----------
    folder : Path
        Outside the namespace it stays an empty folder.
    kib : int
        Size.

    Attributes
    ----------
    prefix : list of str
        Of commands that are to see the disk; they run where they are called.
    """

    def __init__(self, folder: Path, kib: int) -> None:
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            pytest.skip("a small disk needs unshare and nsenter (util-linux)")
        self.folder = folder
        script = f"mount -t tmpfs -o size={kib}k tmpfs '{folder}' && echo mounted && exec cat"  # which ends with this process's end of the pipe
        self._holder = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "mounted\n":
            self._holder.wait(10)
            pytest.skip(f"no mount namespace here: {self._holder.stderr.read().strip()}")
        self.prefix = ["nsenter", f"--target={self._holder.pid}", "--mount", "env", f"--chdir={Path(__file__).parents[2]}"]

    def run(self, *command: str) -> str:
        """Run a command that sees the disk."""
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=True).stdout

    def resize(self, kib: int) -> None:
        """Make room, or take it away."""
        self.run("mount", "-o", f"remount,size={kib}k", str(self.folder))

    def fill(self, leave_kib: int) -> None:
        """Let something else take all room but so much."""
        free = int(self.run("df", "--output=avail", "-k", str(self.folder)).split()[-1])
        self.run("dd", "if=/dev/zero", f"of={self.folder}/ballast", "bs=1k", f"count={max(0, free - leave_kib)}")

    def empty(self) -> None:
        """Take back what `fill` took."""
        self.run("rm", "-f", f"{self.folder}/ballast")

    def copy_out(self, target: Path) -> Path:
        """Copy what is on the disk to where everybody sees it."""
        shutil.rmtree(target, ignore_errors=True)
        self.run("cp", "-a", str(self.folder), str(target))
        return target

    def close(self) -> None:
        """Unmount it, by ending the last process that sees it."""
        self._holder.stdin.close()
        self._holder.wait(10)
        self._holder.stdout.close()
        self._holder.stderr.close()
