#!/usr/bin/env python3
"""Fits the polynomials of src/kernel/act_tmpl.h and prints them with their largest errors.

Minimax fits by iteratively reweighted least squares (Lawson 1961) on a dense grid, in double; the printed
error is that of the coefficients rounded to float, evaluated in double. Needs numpy.
"""
import math
import numpy as np


def lawson(basis, target, weight, rounds=4000):
    """Coefficients c that minimise max |weight * (basis @ c - target)|."""
    w = np.ones(len(target))
    best, best_err = None, math.inf
    for _ in range(rounds):
        s = np.sqrt(w) * weight
        c = np.linalg.lstsq(basis * s[:, None], target * s, rcond=None)[0]
        err = np.abs((basis @ c - target) * weight)
        if err.max() < best_err:
            best, best_err = c, err.max()
        w *= err / err.max()
        w = np.maximum(w, 1e-30)
        w /= w.sum()
    return best


def show(name, coefficients, error):
    print(f"{name}: max error {error:.3g}")
    for i, c in enumerate(coefficients):
        print(f"    c{i} = {float(np.float32(c))!r}f")


def exp2(degree):
    """2^f for f in [-1/2, 1/2], relative error; c0 = 1 exactly."""
    f = np.cos(np.linspace(0, math.pi, 4001)) * 0.5
    f = f[np.abs(f) > 1e-9]
    basis = np.stack([f**i for i in range(1, degree + 1)], axis=1)
    target = 2.0**f - 1.0
    c = np.concatenate([[1.0], lawson(basis, target, 2.0**-f)])
    c32 = c.astype(np.float32).astype(np.float64)
    value = sum(c32[i] * f**i for i in range(degree + 1))
    show(f"exp2, degree {degree}", c, np.abs(value * 2.0**-f - 1).max())


def normal_cdf(terms, edge):
    """Phi(x) = 1/2 + x P(x^2) on [-edge, edge], P(edge^2) = 1 / (2 edge): exact beyond the edge.
    Weighted by |x|: the error is that of x Phi(x)."""
    x = (1 - np.cos(np.linspace(0, math.pi / 2, 4001))) * edge
    x = np.linspace(0, 1, 4001)[1:] * edge
    phi = np.array([0.5 * math.erf(v / math.sqrt(2)) for v in x])
    u = x * x / (edge * edge)
    tail = 0.5 / edge
    basis = np.stack([x * (u**i - 1) for i in range(1, terms)], axis=1)
    c = lawson(basis, phi - x * tail, x)
    c = np.concatenate([[tail - c.sum()], c])
    c = c / edge ** (2 * np.arange(terms))
    c32 = c.astype(np.float32).astype(np.float64)
    value = 0.5 + x * sum(c32[i] * x ** (2 * i) for i in range(terms))
    show(f"Phi, {terms} terms, edge {edge}", c, np.abs((value - 0.5 - phi) * x).max())


def gelu_table(edge, pieces):
    """x Phi(x) as quadratics c0 + c1 x + c2 x^2 on equal pieces of [-edge, edge], zero below, x above; zero at zero."""
    width = 2 * edge / pieces
    nodes = np.cos(np.linspace(0, math.pi, 401))
    table, worst = [np.zeros(3)], edge * 0.5 * math.erfc(edge / math.sqrt(2))
    for piece in range(pieces):
        first = 0 if piece * 2 not in (pieces, pieces - 2) else 1
        x = -edge + width * (piece + 0.5 + 0.5 * nodes)
        value = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x])
        basis = np.stack([x**i for i in range(first, 3)], axis=1)
        c = np.concatenate([np.zeros(first), lawson(basis, value, np.ones(len(x)), 400)]).astype(np.float32)
        worst = max(worst, np.abs(c[0] + c[1] * x + c[2] * x * x - value).max())
        table.append(c)
    table.append(np.array([0, 1, 0]))
    print(f"GELU, {pieces} pieces to {edge}: max error {worst:.3g}")
    for i in range(3):
        numbers = [f"{np.float32(c[i]):.9g}" for c in table]
        print("    {" + ", ".join(n + ("f" if "." in n else ".0f") for n in numbers) + "},")


if __name__ == "__main__":
    for degree in (3, 4, 5, 6):
        exp2(degree)
    for terms, edge in ((6, 3.4), (6, 3.6), (7, 3.6), (7, 3.8), (8, 3.8), (8, 4.0), (8, 4.2), (9, 4.2), (9, 4.5)):
        normal_cdf(terms, edge)
    gelu_table(4.15, 30)
