"""Gradient rules for scipy.special: error functions, gamma and Bessel functions, entropies, transformations.

Loaded on the first use of one of its functions, so that tinygrad_edu itself does not need SciPy. The formulas
are those of the NIST Digital Library of Mathematical Functions (dlmf.nist.gov); section numbers are given.
An infinite slope, as of entr at 0, is infinite.
"""

import math
from typing import Any

import numpy as np
import scipy.special as sp

from . import rule

ROOT_PI = math.sqrt(math.pi)
ROOT_2PI = math.sqrt(2 * math.pi)


def unknown(name: str) -> Any:
    """Refuse the gradient with respect to an argument that has no formula."""

    def refuse(*call: Any, **how: Any) -> Any:
        raise TypeError(
            f"this function of scipy.special has no gradient rule for its {name}; "
            "give it tensor.detach() there"
        )

    return refuse


ORDER, PARAMETER = unknown("order"), unknown("parameters")

# the logistic function, elementary functions
rule(sp.expit, lambda g, y, x: g * y * sp.expit(-x))
rule(sp.logit, lambda g, y, x: g / (x * (1 - x)))
rule(sp.log_expit, lambda g, y, x: g * sp.expit(-x))
rule(sp.cbrt, lambda g, y, x: g / (3 * y * y))
rule(sp.exp2, lambda g, y, x: g * y * math.log(2))
rule(sp.exp10, lambda g, y, x: g * y * math.log(10))
rule(sp.expm1, lambda g, y, x: g * np.exp(x))
rule(sp.log1p, lambda g, y, x: g / (x + 1))
rule(sp.cosm1, lambda g, y, x: -g * np.sin(x))
rule(sp.exprel, lambda g, y, x: g * exprel_slope(x))


def exprel_slope(x: Any) -> Any:
    """Return the derivative of (exp(x) - 1) / x: by its formula, or near 0, where it cancels, by series."""
    near = np.abs(x) < 0.5
    away, small = np.where(near, 1.0, x), np.where(near, x, 0.0)
    series: Any = 0.0
    for k in range(14, -1, -1):
        series = series * small + (k + 1) / math.factorial(k + 2)
    return np.where(near, series, (np.exp(away) - sp.exprel(away)) / away)


# error functions and the normal distribution (7.2, 7.17)
rule(sp.erf, lambda g, y, x: g * (2 / ROOT_PI) * np.exp(-x * x))
rule(sp.erfc, lambda g, y, x: -g * (2 / ROOT_PI) * np.exp(-x * x))
rule(sp.erfcx, lambda g, y, x: g * (2 * x * y - 2 / ROOT_PI))
rule(sp.erfi, lambda g, y, x: g * (2 / ROOT_PI) * np.exp(x * x))
rule(sp.dawsn, lambda g, y, x: g * (1 - 2 * x * y))
rule(sp.erfinv, lambda g, y, x: g * (ROOT_PI / 2) * np.exp(y * y))
rule(sp.erfcinv, lambda g, y, x: -g * (ROOT_PI / 2) * np.exp(y * y))
rule(sp.ndtr, lambda g, y, x: g * np.exp(-x * x / 2) / ROOT_2PI)
rule(sp.ndtri, lambda g, y, x: g * np.exp(y * y / 2) * ROOT_2PI)
rule(sp.log_ndtr, lambda g, y, x: g * np.exp(-x * x / 2 - y) / ROOT_2PI)
rule(sp.ndtri_exp, lambda g, y, x: g * np.exp(x + y * y / 2) * ROOT_2PI)
rule(
    sp.fresnel,
    lambda g, y, x: g[0] * np.sin(math.pi / 2 * x * x) + g[1] * np.cos(math.pi / 2 * x * x),
)

# gamma functions (5.2, 5.12, 8.8, 8.17, 25.11); the first argument of zeta has no formula
rule(sp.gammaln, lambda g, y, x: g * sp.psi(x))
rule(sp.loggamma, lambda g, y, x: g * sp.psi(x))
rule(sp.gamma, lambda g, y, x: g * y * sp.psi(x))
rule(sp.rgamma, lambda g, y, x: -g * y * sp.psi(x))
rule(sp.psi, lambda g, y, x: g * sp.zeta(2, x))
rule(sp._ufuncs._zeta, ORDER, lambda g, y, s, q: -g * s * sp.zeta(s + 1, q))
rule(
    sp.beta,
    lambda g, y, a, b: g * y * (sp.psi(a) - sp.psi(a + b)),
    lambda g, y, a, b: g * y * (sp.psi(b) - sp.psi(a + b)),
)
rule(
    sp.betaln,
    lambda g, y, a, b: g * (sp.psi(a) - sp.psi(a + b)),
    lambda g, y, a, b: g * (sp.psi(b) - sp.psi(a + b)),
)
rule(
    sp.binom,
    lambda g, y, n, k: g * y * (sp.psi(n + 1) - sp.psi(n - k + 1)),
    lambda g, y, n, k: g * y * (sp.psi(n - k + 1) - sp.psi(k + 1)),
)
rule(
    sp.poch,
    lambda g, y, z, m: g * y * (sp.psi(z + m) - sp.psi(z)),
    lambda g, y, z, m: g * y * sp.psi(z + m),
)
rule(sp.gammainc, PARAMETER, lambda g, y, a, x: g * np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a)))
rule(sp.gammaincc, PARAMETER, lambda g, y, a, x: -g * np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a)))
rule(
    sp.betainc,
    PARAMETER,
    PARAMETER,
    lambda g, y, a, b, x: g * np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b)),
)

# logarithms times something, entropies
rule(
    sp.xlogy,
    lambda g, y, a, b: g * np.log(b),
    lambda g, y, a, b: g * a / (b + ((a == 0) & (b == 0))),
)
rule(
    sp.xlog1py,
    lambda g, y, a, b: g * np.log1p(b),
    lambda g, y, a, b: g * a / (1 + b + ((a == 0) & (b == -1))),
)
rule(sp.entr, lambda g, y, x: -g * (np.log(x) + 1))
rule(
    sp.rel_entr,
    lambda g, y, a, b: g * (np.log(a / b) + 1),
    lambda g, y, a, b: -g * a / (b + ((a == 0) & (b == 0))),
)
rule(
    sp.kl_div,
    lambda g, y, a, b: g * np.log(a / b),
    lambda g, y, a, b: g * (1 - a / (b + ((a == 0) & (b == 0)))),
)


# Bessel functions (10.6, 10.29), Airy functions (9.2); a scaled one is multiplied by exp(-|x|) or exp(x)
rule(sp.j0, lambda g, y, x: -g * sp.j1(x))
rule(sp.j1, lambda g, y, x: g * (sp.j0(x) - sp.jv(2, x)) / 2)
rule(sp.y0, lambda g, y, x: -g * sp.y1(x))
rule(sp.y1, lambda g, y, x: g * (sp.y0(x) - sp.yv(2, x)) / 2)
rule(sp.i0, lambda g, y, x: g * sp.i1(x))
rule(sp.i1, lambda g, y, x: g * (sp.i0(x) + sp.iv(2, x)) / 2)
rule(sp.k0, lambda g, y, x: -g * sp.k1(x))
rule(sp.k1, lambda g, y, x: -g * (sp.k0(x) + sp.kv(2, x)) / 2)
rule(sp.i0e, lambda g, y, x: g * (sp.i1e(x) - np.sign(x) * y))
rule(sp.i1e, lambda g, y, x: g * ((sp.i0e(x) + sp.ive(2, x)) / 2 - np.sign(x) * y))
rule(sp.k0e, lambda g, y, x: g * (y - sp.k1e(x)))
rule(sp.k1e, lambda g, y, x: g * (y - (sp.k0e(x) + sp.kve(2, x)) / 2))
for oscillating in (sp.jv, sp.yv):
    rule(oscillating, ORDER, lambda g, y, v, x, f=oscillating: g * (f(v - 1, x) - f(v + 1, x)) / 2)
rule(sp.iv, ORDER, lambda g, y, v, x: g * (sp.iv(v - 1, x) + sp.iv(v + 1, x)) / 2)
rule(sp.kv, ORDER, lambda g, y, v, x: -g * (sp.kv(v - 1, x) + sp.kv(v + 1, x)) / 2)
rule(sp.ive, ORDER, lambda g, y, v, x: g * ((sp.ive(v - 1, x) + sp.ive(v + 1, x)) / 2 - np.sign(x) * y))
rule(sp.kve, ORDER, lambda g, y, v, x: g * (y - (sp.kve(v - 1, x) + sp.kve(v + 1, x)) / 2))
rule(sp.airy, lambda g, y, x: g[0] * y[1] + g[1] * x * y[0] + g[2] * y[3] + g[3] * x * y[2])

# integrals: exponential (6.2, 8.19), sine and cosine (6.2), elliptic (19.4), dilogarithm (25.12)
rule(sp.exp1, lambda g, y, x: -g * np.exp(-x) / x)
rule(sp.expi, lambda g, y, x: g * np.exp(x) / x)
rule(sp.expn, ORDER, lambda g, y, n, x: -g * sp.expn(n - 1, x))
rule(sp.sici, lambda g, y, x: g[0] * np.sinc(x / math.pi) + g[1] * np.cos(x) / x)
rule(sp.shichi, lambda g, y, x: g[0] * np.sinh(x) / x + g[1] * np.cosh(x) / x)
rule(sp.ellipk, lambda g, y, m: g * (sp.ellipe(m) / (1 - m) - y) / (2 * m))
rule(sp.ellipe, lambda g, y, m: g * (y - sp.ellipk(m)) / (2 * m))
rule(sp.spence, lambda g, y, x: g * np.log(x) / (1 - x))

# transformations of data, robust losses
rule(
    sp.boxcox,
    lambda g, y, x, power: g * x ** (power - 1),
    lambda g, y, x, power: g * boxcox_slope(np.log(x), power),
)
rule(
    sp.boxcox1p,
    lambda g, y, x, power: g * (1 + x) ** (power - 1),
    lambda g, y, x, power: g * boxcox_slope(np.log1p(x), power),
)
rule(
    sp.inv_boxcox,
    lambda g, y, x, power: g * y ** (1 - power),
    lambda g, y, x, power: -g * boxcox_slope(np.log(y), power) * y ** (1 - power),
)
rule(
    sp.inv_boxcox1p,
    lambda g, y, x, power: g * (1 + y) ** (1 - power),
    lambda g, y, x, power: -g * boxcox_slope(np.log1p(y), power) * (1 + y) ** (1 - power),
)
rule(
    sp.huber,
    lambda g, y, delta, r: g * np.maximum(np.abs(r) - delta, 0),
    lambda g, y, delta, r: g * np.clip(r, -delta, delta),
)
rule(
    sp.pseudo_huber,
    lambda g, y, delta, r: g * (np.hypot(delta, r) - delta) ** 2 / np.hypot(delta, r),
    lambda g, y, delta, r: g * r * delta / np.hypot(delta, r),
)


def boxcox_slope(log_x: Any, power: Any) -> Any:
    """Return the derivative of (x ** power - 1) / power with respect to the power, which may be 0."""
    return log_x * log_x * exprel_slope(power * log_x)
