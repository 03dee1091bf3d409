"""The parameters of the classical family, as data. Imports no scikit-learn."""

from __future__ import annotations

from genre_models.families.declaration import Declared, Family

_LINEAR = {"model": ("linear_svm", "logistic")}
_RBF = {"model": ("rbf_svm",)}
_MLP = {"model": ("mlp",)}
_FOREST = {"model": ("forest",)}
_BOOSTING = {"model": ("boosting",)}
_WEIGHTED = {"model": ("linear_svm", "rbf_svm", "logistic", "forest", "boosting")}

VECTORS = (
    Declared("input", "text", "handcrafted", "What an item's vector is: the handcrafted features, its row of features.table, the mean of what a "
             "network of sound makes of each second, or the output of a trunk, as TRUNK/CUT",
             choices=("handcrafted", "table", "vggish", "yamnet", "vgg16/block5_pool", "resnet50/avg_pool")),
    Declared("channels", "choice", "repeat", "The three channels a trunk is given: the spectrogram three times, as colours, or as static, "
             "delta and delta-delta; no effect where the input is no trunk's", choices=("repeat", "colour", "delta")),
    Declared("pooling", "choice", "average", "From a trunk's maps to a vector: the mean or the largest of each map, or all values; no "
             "effect where the input is no trunk's", choices=("average", "max", "flat")),
    Declared("standardise", "bool", True, "Each feature scaled to mean 0 and standard deviation 1 of the training items"),
)

_SHARES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
_MODELS = ("linear_svm", "rbf_svm", "logistic", "mlp", "forest", "boosting")

CLASSICAL = Family(
    name="classical",
    meaning="Classifiers of scikit-learn on vectors: SVMs, logistic regression, MLP, random forest, gradient boosting",
    parameters=(
        *VECTORS,
        Declared("pca", "choice", 0.0, "Part of the training items' variance that principal components keep; 0 for none", choices=_SHARES),
        Declared("model", "choice", "rbf_svm", "The classifier", choices=_MODELS),
        Declared("linear_C", "float", 3e-2, "Inverse strength of the penalty on weights", 1e-5, 1e3, log=True, when=_LINEAR),
        Declared("rbf_C", "float", 10.0, "Inverse strength of the penalty", 1e-3, 1e4, log=True, when=_RBF),
        Declared("gamma", "float", 0.0, "The kernel is exp(-gamma x squared distance); 0 for 1 / (dimensions x variance) of its inputs",
                 0.0, 1.0, log=True, when=_RBF),
        Declared("mlp_units", "widths", "256", 'Units of each hidden layer, such as "512-32"', 1, 2048, when=_MLP),
        Declared("mlp_alpha", "float", 1e-2, "L2 penalty", 1e-6, 10.0, log=True, when=_MLP),
        Declared("mlp_learning_rate", "float", 1e-3, "Learning rate of Adam, in batches of 32", 1e-5, 1e-1, log=True, when=_MLP),
        Declared("mlp_early_stopping", "bool", False, "Whether a tenth of the training tracks is kept back to tell when to stop; else "
                 "training ends when its own loss no longer falls, and in any case after 200 passes", when=_MLP),
        Declared("forest_trees", "int", 300, "Trees", 10, 2000, log=True, when=_FOREST),
        Declared("forest_depth", "int", 0, "Largest depth of a tree; 0 for no limit", 0, 64, when=_FOREST),
        Declared("forest_leaf", "int", 1, "Smallest number of items in a leaf", 1, 50, log=True, when=_FOREST),
        Declared("forest_features", "float", 0.0, "Part of the features tried at a split; 0 for the square root of their number", 0.0, 1.0,
                 when=_FOREST),
        Declared("boosting_learning_rate", "float", 0.1, "Part of each tree's answer that is added", 1e-3, 1.0, log=True, when=_BOOSTING),
        Declared("boosting_iterations", "int", 100, "Trees of each class", 10, 1000, log=True, when=_BOOSTING),
        Declared("boosting_leaves", "int", 8, "Most leaves of a tree; time goes with their number", 2, 255, log=True, when=_BOOSTING),
        Declared("boosting_features", "float", 0.3, "Part of the features tried at a split", 0.01, 1.0, when=_BOOSTING),
        Declared("boosting_l2", "float", 0.0, "L2 penalty on what leaves answer", 0.0, 100.0, when=_BOOSTING),
        Declared("class_weight", "choice", "none", "Whether rare classes weigh more, so that all weigh the same",
                 choices=("none", "balanced"), when=_WEIGHTED),
    ),
    module="genre_models.families.classical",
    inputs="vectors",
    has_epochs=False,
)
