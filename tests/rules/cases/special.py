"""Recipes for scipy.special, which only its own test imports: the other themes need no SciPy."""

from typing import Any

import numpy as np
import pytest

from .base import Case, covers
from .elementwise import elementwise

sp = pytest.importorskip("scipy.special")

from tinygrad_edu.rules import special  # noqa: E402

NEAR, POSITIVE, UNIT = (-2.0, 2.0), (0.5, 3.0), (0.1, 0.9)
WHOLE = np.array([2.0, 3.0]).reshape(2, 1, 1, 1)
# the domain of each argument to differentiate, after those (orders, parameters) that are given
DOMAINS: dict[Any, tuple[Any, ...]] = {
    **dict.fromkeys((sp.expit, sp.log_expit, sp.exp2, sp.exp10, sp.expm1, sp.cosm1, sp.exprel), (NEAR,)),
    **dict.fromkeys(
        (sp.erf, sp.erfc, sp.erfcx, sp.erfi, sp.dawsn, sp.ndtr, sp.log_ndtr, sp.fresnel), (NEAR,)
    ),
    **dict.fromkeys((sp.j0, sp.j1, sp.i0, sp.i1, sp.airy), (NEAR,)),
    **dict.fromkeys((sp.logit, sp.erfinv, sp.ndtri, sp.ellipk, sp.ellipe), (UNIT,)),
    **dict.fromkeys((sp.gammaln, sp.loggamma, sp.gamma, sp.rgamma, sp.psi, sp.spence), (POSITIVE,)),
    **dict.fromkeys((sp.y0, sp.y1, sp.k0, sp.k1, sp.k0e, sp.k1e, sp.exp1, sp.expi), (POSITIVE,)),
    **dict.fromkeys((sp.sici, sp.shichi, sp.log1p, sp.cbrt, sp.entr), (POSITIVE,)),
    **dict.fromkeys((sp.beta, sp.betaln, sp.poch), (POSITIVE, POSITIVE)),
    **dict.fromkeys((sp.xlogy, sp.xlog1py, sp.inv_boxcox1p), (POSITIVE, UNIT)),
    **dict.fromkeys((sp.rel_entr, sp.kl_div), (POSITIVE, (3.5, 5.0))),
    **dict.fromkeys((sp.boxcox, sp.boxcox1p), (POSITIVE, NEAR)),
    sp.inv_boxcox: (POSITIVE, UNIT),
    sp.pseudo_huber: (POSITIVE, NEAR),
    sp.huber: ((1.1, 1.4), ((-0.9, 0.9), (1.7, 2.5))),
    sp.binom: ((4.0, 6.0), POSITIVE),
    sp.erfcinv: ((0.2, 1.8),),
    sp.ndtri_exp: ((-3.0, -0.3),),
    **dict.fromkeys((sp.i0e, sp.i1e), (((-2.0, -0.4), (0.4, 2.0)),)),
}
GIVEN: dict[Any, tuple[tuple[Any, ...], Any]] = {
    **dict.fromkeys((sp.jv, sp.yv, sp.iv, sp.kv, sp.ive, sp.kve), ((WHOLE + 0.5,), POSITIVE)),
    **dict.fromkeys((sp.gammainc, sp.gammaincc), ((WHOLE - 0.7,), POSITIVE)),
    sp.betainc: ((WHOLE - 0.7, 1.6), UNIT),
    sp.expn: ((WHOLE.astype(int) + 1,), POSITIVE),
    special.sp._ufuncs._zeta: ((WHOLE,), POSITIVE),
}


def enter(fn: Any, given: tuple[Any, ...], domains: tuple[Any, ...]) -> None:
    """Enter a function: its first arguments are given, and the others are drawn and differentiated."""

    @covers(fn)
    def _(draw: Any) -> Case:
        args = draw(elementwise(len(domains), domains)).args
        # complex and integer arguments choose other formulas: only the real arguments are differentiated
        places = tuple(range(len(given), len(given) + len(args)))
        return Case((*given, *args), {}, {"argnums": places, "step": 1 / 256})


for fn, domains in DOMAINS.items():
    enter(fn, (), domains)
for fn, (given, domain) in GIVEN.items():
    enter(fn, given, (domain,))
