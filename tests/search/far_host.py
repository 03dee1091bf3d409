"""Another host, as far as the network goes: a network namespace, joined to this one by a wire that can be pulled without either side being told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class FarHost:
    """A network namespace that lives as long as this object, with one interface to this machine.

    Attributes
    ----------
    prefix : list of str
        Of commands that are to run on that host; they see the same files.
    near, far : str
        Addresses of this machine and of the host, as each sees the other.
    """

    near, far = "10.213.77.1", "10.213.77.2"
    _link = "gs-far"

    def __init__(self) -> None:
        missing = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]
        if missing:
            pytest.skip(f"a second host needs {', '.join(missing)} (util-linux, iproute2)")
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "there\n":
            self._holder.wait(10)
            pytest.skip(f"no network namespace here: {self._holder.stderr.read().strip()}")
        self.prefix = ["nsenter", f"--target={self._holder.pid}", "--net", "env", f"--chdir={Path(__file__).parents[2]}"]
        try:
            _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder.pid))
        except subprocess.CalledProcessError as error:
            self.close()
            pytest.skip(f"no virtual network here: {error.stderr.strip()}")
        _ip("address", "add", f"{self.near}/30", "dev", self._link)
        _ip("link", "set", self._link, "up")
        for words in (("address", "add", f"{self.far}/30", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            subprocess.run([*self.prefix, "ip", *words], check=True, capture_output=True)

    def pull(self) -> None:
        """From now on packets are lost, both ways, and nobody is told: each side sends to a card that is not there."""
        nobody = ("lladdr", "02:00:00:00:00:01", "nud", "permanent")
        _ip("neighbour", "replace", self.far, *nobody, "dev", self._link)
        self._far("neighbour", "replace", self.near, *nobody, "dev", "eth0")

    def plug(self) -> None:
        """And arrive again."""
        _ip("neighbour", "del", self.far, "dev", self._link)
        self._far("neighbour", "del", self.near, "dev", "eth0")

    def _far(self, *words: str) -> None:
        subprocess.run([*self.prefix, "ip", *words], check=True, capture_output=True)

    def close(self) -> None:
        """End the namespace, and its interface with it."""
        self._holder.stdin.close()
        self._holder.wait(10)
        self._holder.stdout.close()
        self._holder.stderr.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
