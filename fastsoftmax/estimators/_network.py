"""A network of fully connected ReLU layers in NumPy: what the compiled kernels must compute."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ._losses import tally_of


class Network(NamedTuple):
    """Weights of each layer: `coefs[i]` is (n_in, n_out), `intercepts[i]` (n_out,)."""

    coefs: list
    intercepts: list

    @property
    def arrays(self):
        """All parameters in one list."""
        return [*self.coefs, *self.intercepts]

    @property
    def dtype(self):
        """Return the dtype of the parameters, in which everything is computed."""
        return self.coefs[0].dtype

    @property
    def sizes(self):
        """Numbers of features, of the units of each hidden layer, and of outputs."""
        return (self.coefs[0].shape[0], *(coef.shape[1] for coef in self.coefs))

    def astype(self, dtype):
        """Return the network in a dtype."""
        return Network(*([array.astype(dtype) for array in arrays] for arrays in self))

    def copy(self):
        """Return a network with copies of the parameters."""
        return Network([c.copy() for c in self.coefs], [b.copy() for b in self.intercepts])

    def is_finite(self):
        """Whether every parameter is finite."""
        return all(np.isfinite(array).all() for array in self.arrays)


def glorot_network(sizes, dtype, rng):
    """Draw the weights of each layer uniformly from +-sqrt(6 / (n_in + n_out)); biases are 0.

    Source: Glorot and Bengio, 2010; the default of Keras.
    """
    pairs = list(pairwise(sizes))
    bounds = [np.sqrt(6 / (n_in + n_out)) for n_in, n_out in pairs]
    coefs = [
        rng.uniform(-bound, bound, pair).astype(dtype)
        for pair, bound in zip(pairs, bounds, strict=True)
    ]
    return Network(coefs, [np.zeros(n_out, dtype) for _, n_out in pairs])


def zero_network(sizes, dtype):
    """Return a network of zeros: where a convex loss may start."""
    pairs = list(pairwise(sizes))
    return Network([np.zeros(p, dtype) for p in pairs], [np.zeros(p[1], dtype) for p in pairs])


def activations(network, x):
    """Return the input and the output of every layer; the last one are the logits."""
    layers = [x]
    last = len(network.coefs) - 1
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        z = layers[-1] @ coef + intercept
        layers.append(z if i == last else np.maximum(z, 0))
    return layers


def loss_and_gradients(network, loss, x, targets, weights=None):
    """Return the mean loss of a batch, its gradients as a Network, and the batch's Tally."""
    layers = activations(network, x)
    value, delta = loss.with_gradient(layers[-1], targets, weights)
    tally = tally_of(loss, layers[-1], targets, weights)
    coef_grads, intercept_grads = [], []
    for i in reversed(range(len(network.coefs))):
        coef_grads.append(layers[i].T @ delta)
        intercept_grads.append(delta.sum(axis=0))
        if i > 0:
            delta = (delta @ network.coefs[i].T) * (layers[i] > 0)
    return value, Network(coef_grads[::-1], intercept_grads[::-1]), tally
