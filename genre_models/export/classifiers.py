"""Classifiers of scikit-learn as ONNX: scaling, components and classifier by skl2onnx, then what makes probabilities of all classes of its answer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_models.errors import GenreModelsError
from genre_models.export import INPUT, OUTPUT
from genre_models.export.networks import OPSET, rename_ends

if TYPE_CHECKING:
    import onnx

    from genre_models.sklearn_model import VectorModel


def to_onnx(model: VectorModel) -> onnx.ModelProto:
    """A fitted pipeline as an ONNX model from vectors to probabilities.

    Raises
    ------
    GenreModelsError
        skl2onnx can't convert it.
    """
    from onnx import compose
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    classifier = model.pipeline[-1]
    options = {} if type(classifier).__name__ == "LinearSVC" else {"zipmap": False}  # a table, not a list of dictionaries, which that one never gives
    options |= {"raw_scores": True} if model.temperature is not None else {}
    given = [(INPUT, FloatTensorType([None, model.n_features]))]
    try:
        with _integers_for_booleans(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that it asks scikit-learn for attributes that will go
            made = convert_sklearn(model.pipeline, "classifier", given, options={id(classifier): options}, target_opset=OPSET)
        made = compose.add_prefix(made, "fitted_")  # its own names may be ours
    except Exception as error:  # the converter raises what its parts raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise GenreModelsError(f"skl2onnx can't convert this {type(classifier).__name__} ({said})") from error
    _to_probabilities(made, classifier, model)
    return made


@contextmanager
def _integers_for_booleans() -> Iterator[None]:
    """skl2onnx 1.20 describes trees with booleans among integers, which protobuf 7 refuses."""
    from skl2onnx.common import _container

    make_node = _container.make_node

    def with_integers(*given: Any, **attributes: Any) -> Any:
        plain = {key: [int(each) if isinstance(each, bool) else each for each in value] if isinstance(value, list) else value for key, value in attributes.items()}
        return make_node(*given, **plain)

    _container.make_node = with_integers
    try:
        yield
    finally:
        _container.make_node = make_node


def _to_probabilities(made: onnx.ModelProto, classifier: Any, model: VectorModel) -> None:
    """End the graph in probabilities of all classes, as `genre_models.sklearn_model.class_probabilities` makes them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph, before = made.graph, made.graph.output[1].name
    if model.temperature is not None:
        scale = _decision_matrix(classifier) / model.temperature
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), "decisions_to_logits"))
        graph.node.append(helper.make_node("MatMul", [before, "decisions_to_logits"], ["logits"]))
        graph.node.append(helper.make_node("Softmax", ["logits"], ["known"], axis=1))
        before = "known"
    known = np.zeros((len(classifier.classes_), model.n_classes), np.float32)
    known[np.arange(len(classifier.classes_)), classifier.classes_] = 1
    graph.initializer.append(numpy_helper.from_array(known, "known_to_all"))
    graph.node.append(helper.make_node("MatMul", [before, "known_to_all"], [OUTPUT]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, model.n_classes]))
    rename_ends(made, INPUT, OUTPUT)
    onnx.checker.check_model(made)


def _decision_matrix(classifier: Any) -> np.ndarray:
    """From what the graph gives as scores to a decision value for each known class; of two classes they are the value and its negative, halved."""
    n = len(classifier.classes_)
    return np.eye(n) if n > 2 else np.eye(2) / 2


def behind(trunk: onnx.ModelProto, classifier: onnx.ModelProto) -> onnx.ModelProto:
    """The classifier on what a pretrained network gives, as one model."""
    import onnx
    from onnx import compose, helper

    trunk, classifier = (compose.add_prefix(model, prefix) for model, prefix in ((trunk, "trunk_"), (classifier, "classifier_")))
    trunk.ir_version = classifier.ir_version = max(trunk.ir_version, classifier.ir_version)
    newest: dict[str, int] = {}
    for each in (*trunk.opset_import, *classifier.opset_import):
        newest[each.domain] = max(each.version, newest.get(each.domain, 0))
    for model in (trunk, classifier):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in newest.items())
    joined = compose.merge_models(trunk, classifier, io_map=[(f"trunk_{OUTPUT}", f"classifier_{INPUT}")])
    rename_ends(joined, INPUT, OUTPUT)
    onnx.checker.check_model(joined)
    return joined
