"""The child of `genre_models.trunks.prepare` with its work replaced by what a test asks for in the settings of its first job."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from genre_models.errors import SettingsError, TrunkUnavailable
from genre_models.trunks import child


def scripted(jobs, task, tell):
    script = jobs[0]
    if script["do"] == "work":
        print("greetings of a library")
        os.write(1, b"and of its C++\n")
        tell({"progress": (1, 2, "vgg16")})
        return {"key": {"jobs": jobs, "task": task}}
    if script["do"] == "refuse":
        raise SettingsError("cut: nothing")
    if script["do"] == "unavailable":
        error = TrunkUnavailable("vgg16: gone")
        error.trunk = "vgg16|imagenet|224"
        raise error
    if script["do"] == "break":
        raise RuntimeError("something\nunforeseen")
    if script["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    Path(script["pid"]).write_text(str(os.getpid()))
    tell({"progress": (0, 1, "vgg16")})
    time.sleep(60)


child._work = scripted
code = child.main()
sys.stderr.flush()
os._exit(code)
