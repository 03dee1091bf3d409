"""Importing Keras without TensorFlow's greetings: a CPU-only machine is told three times that it has no GPU, in C++, whatever the log level."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from genre_models.errors import GenreModelsError


def import_keras() -> None:
    """Import Keras and its backend; what they print while they load is shown only if they fail."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with hushed():
        import keras  # noqa: F401

        # Every trial is a new network, and TensorFlow would warn of each that it is traced anew.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def hushed() -> Iterator[None]:
    """Keep what is printed to standard error meanwhile, in C++ too, and show it only if something fails that has no words of our own."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except GenreModelsError:
            raise
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
