"""Two real models as looks left them, made once for all that use them; whoever changes a file of them works on a copy."""

from __future__ import annotations

import pytest

from tests import tiny_study
from tests.saved_looks import CNN, Looked, make_table, take_look


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """A network that was trained in bfloat16, and sees three windows of a picture."""
    from genre_models import plots

    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DOTS_PER_INCH", 40)  # drawing takes longer than all the rest
        return take_look(folder, tiny_study.make_corpus(folder / "corpus"), "cnn", CNN | {"segments": 3}, {"image_size": tiny_study.SIZE}, precision="bfloat16")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """A classifier of scikit-learn on two rows of a table a track."""
    from genre_models import plots

    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DOTS_PER_INCH", 40)
        return take_look(folder, f"table:{make_table(folder / 'features.csv')}", "classical", {"model": "rbf_svm", "input": "table"})
