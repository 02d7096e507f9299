"""Recipes for the activations and losses that have rules of their own."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu import special
from tinygrad_edu.nn.activations import leaky_relu, log_softmax, relu, sigmoid, softmax
from tinygrad_edu.nn.losses import sigmoid_cross_entropy, softmax_cross_entropy
from tinygrad_edu.testing.strategies import arrays, masks, shapes

from .base import Case, call, covers, options, unary

LOGITS = (-3.0, 3.0)

unary(relu)
unary(sigmoid, domain=LOGITS)
covers(leaky_relu)(lambda draw: call(draw(arrays()), **options(draw, slope=st.sampled_from([0.01, 0.3]))))
covers(softmax, log_softmax, special.softmax, special.log_softmax)(
    lambda draw: call(draw(arrays(shapes(1, min_side=1), LOGITS)))
)


@covers(softmax_cross_entropy)
def _(draw: Any) -> Case:
    z = draw(arrays(shapes(1, min_side=1), LOGITS))
    classes = z.shape[-1]
    whole = np.random.default_rng(draw(st.integers(0, 99))).integers(classes, size=z.shape[:-1])
    soft = np.eye(classes)[whole] * 0.7 + 0.3 / classes
    labels = draw(st.sampled_from([whole, np.eye(classes)[whole], soft]))
    return Case((z, labels), {}, {"argnums": 0})  # no gradient flows into labels


@covers(sigmoid_cross_entropy)
def _(draw: Any) -> Case:
    z = draw(arrays(shapes(min_side=1), LOGITS))
    labels = draw(masks(z.shape)).astype(float) * draw(st.sampled_from([1.0, 0.7]))
    return Case((z, labels), {}, {"argnums": 0})
