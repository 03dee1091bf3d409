"""An L2 penalty inside an optimizer, on every backend. Importing this module imports Keras.

Not a penalty on layers: that would be in the loss that is reported, and in the saved model.
"""

from __future__ import annotations

import keras


def with_l2_penalty(kind: type[keras.optimizers.Optimizer], penalty: float) -> type[keras.optimizers.Optimizer]:
    """An optimizer that first adds a multiple of each weight to its gradient.

    That is the gradient of penalty / 2 x the sum of squares of all weights, biases included. Adam scales it along with the rest, unlike
    decoupled weight decay.

    Parameters
    ----------
    kind : class of optimizer
    penalty : float
        0 or more; with 0 the class comes back as it is.

    Source
    ------
    I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization", algorithm 2, line 6 without the decoupled part,
    arXiv:1711.05101; as ``weight_decay`` of ``torch.optim.Adam``.
    """
    if not penalty:
        return kind

    class Penalised(kind):
        def apply(self, grads, trainable_variables=None):
            weights = self._trainable_variables if trainable_variables is None else list(trainable_variables)
            added = [gradient + penalty * keras.ops.convert_to_tensor(weight) for gradient, weight in zip(grads, weights, strict=True)]
            super().apply(added, trainable_variables)

    return Penalised
