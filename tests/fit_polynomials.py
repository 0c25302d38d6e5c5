#!/usr/bin/env python3
"""Prints the polynomial coefficients of lib/kernels/kernels_template.h.

Each is the polynomial of least largest relative error on its interval (Lawson's algorithm: weighted least
squares, the weights multiplied by the error until it is level), rounded to float.  Needs numpy and mpmath.
"""

import mpmath
import numpy as np
from numpy.polynomial import Polynomial, chebyshev

mpmath.mp.dps = 40


def fit(f, weight, low, high, degree):
    """Coefficients of x^0, x^1, ..., and the largest error times weight."""
    x = np.cos(np.linspace(0, np.pi, 2001)) * (high - low) / 2 + (low + high) / 2
    wanted = np.array([float(f(mpmath.mpf(v))) for v in x])
    scale = np.array([float(weight(mpmath.mpf(v))) for v in x])
    u = (2 * x - (low + high)) / (high - low)
    basis = chebyshev.chebvander(u, degree)
    lawson = np.ones_like(x) / len(x)
    for _ in range(400):
        root = np.sqrt(lawson) * scale
        c = np.linalg.lstsq(basis * root[:, None], wanted * root, rcond=None)[0]
        error = np.abs((basis @ c - wanted) * scale)
        lawson *= error
        lawson /= lawson.sum()
    in_x = Polynomial(chebyshev.cheb2poly(c))(
        Polynomial([-(low + high) / (high - low), 2 / (high - low)]))
    return in_x.coef, error.max()


def show(name, coefficients, error):
    print(f"{name}: relative error {error:.2g}")
    for power, c in enumerate(coefficients):
        print(f"    x^{power}: {float(np.float32(c)).hex()}")


def exp_remainder(r):
    """q in exp(r) = 1 + r + r^2 q(r)"""
    return mpmath.mpf(1) / 2 + r / 6 if abs(r) < 1e-8 else (mpmath.exp(r) - 1 - r) / r**2


def half_erfcx(t):
    """exp(z^2) erfc(z) / 2 where t = (z - 3) / (z + 3)"""
    z = 3 * (1 + t) / (1 - t)
    return mpmath.exp(z * z) * mpmath.erfc(z) / 2


def main():
    half_ln2 = float(mpmath.log(2) / 2) * 1.0005
    show("exp", *fit(exp_remainder, lambda r: r**2 * mpmath.exp(-r) + mpmath.mpf("1e-12"),
                     -half_ln2, half_ln2, 4))
    show("gelu", *fit(half_erfcx, lambda t: 1 / half_erfcx(t), -1.0, (10.5 - 3) / (10.5 + 3), 10))


if __name__ == "__main__":
    main()
