"""Recompute what stands as numbers in the kernels: polynomials of exp, log1p and tanh, tables of 2**n, parts of ln 2.

    python tools/coefficients.py

prints, with 200 bits (mpmath), the relative error of each polynomial of simd/float32.h and
simd/float64.h over its interval and where it is worst, beside the best polynomial of the same degree
that Remez's exchange finds; the relative errors of the series of log1p, tanh and exp's rest, and of 2**r in
the Numba back end; and whether the tables of math/power.h are 2**(j/n) rounded, that of loss/softcap.h
what the rounding has lost, and ln 2 in parts is ln 2. The sources quote the errors.
"""

import re
from pathlib import Path

import mpmath as mp

SOURCES = Path(__file__).parent.parent / "src_ext"
NUMBA = SOURCES.parent / "fastsoftmax/_backends/numba_impl/_math.py"
mp.mp.prec = 200

# Where a polynomial stands: the file, the number of bits of the table that it belongs to, and what math/exp.h calls it.
POLYNOMIALS = {
    "float, 16 entries": ("simd/float32.h", 4),
    "float, 8 entries": ("simd/float32.h", 3),
    "float, no table": ("simd/float32.h", 0),
    "double, 8 entries": ("simd/float64.h", 3),
    "double, no table": ("simd/float64.h", 0),
}
# Series in the square of their argument: where one stands, what it is, and its largest argument.
SERIES = {
    "log1p": ("math/log1p.h", "log1p_of_unit", lambda s: mp.atanh(s) / s, mp.mpf(1) / 3),
}
# H of tanh(u) = u - u**3 / 3 + u**5 * H(u**2), abs(u) <= 1/2, for each dtype: the table in loss/softcap.h.
CAPS = {"float": "cap_rest_f32", "double": "cap_rest_f64"}
HEXADECIMAL = r"-?0x[\da-f.]+p[+-]?\d+"


def coefficients(header, bits):
    """Return the coefficients of q in exp(r) = 1 + r + r**2 * q(r), the highest first."""
    text = (SOURCES / header).read_text()
    found = {}
    pieces = re.findall(
        r"(?:POWER_BITS_F\d+ == (\d)|(#else))\n#define EXP_POLYNOMIAL(.*?)(?=\n#)", text, re.DOTALL
    )
    for number, _, body in pieces:
        found[int(number or 0)] = [
            mp.mpf(float.fromhex(word)) for word in re.findall(HEXADECIMAL, body)
        ]
    return found[bits]


def value(q, r):
    """Return 1 + r + r**2 * q(r); q from the highest power on."""
    total = mp.mpf(0)
    for coefficient in q:
        total = total * r + coefficient
    return 1 + r + r * r * total


def error(q, r):
    """Return the relative error of the polynomial."""
    return value(q, r) / mp.exp(r) - 1


def worst(q, bits, n=4000):
    """Return the largest relative error over abs(r) <= ln2 / 2**(bits + 1), and where it is."""
    half = mp.log(2) / 2 ** (bits + 1)
    at = max((half * k / n for k in range(-n, n + 1)), key=lambda r: abs(error(q, r)))
    return abs(error(q, at)), at


def remez(degree, bits, rounds=8):
    """Return the minimax polynomial q of a degree: the errors at degree + 2 points are alike and alternate."""
    half = mp.log(2) / 2 ** (bits + 1)
    count = degree + 2
    points = [half * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]
    points = [r if abs(r) > half / 100 else half / 50 for r in points]
    for _ in range(rounds):
        rows = [
            [r ** (2 + k) / mp.exp(r) for k in range(degree + 1)] + [(-1) ** i]
            for i, r in enumerate(points)
        ]
        right = [1 - (1 + r) / mp.exp(r) for r in points]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix(right))
        q = [solution[k] for k in range(degree, -1, -1)]
        points = extremes(q, half, points)
    return q


def extremes(q, half, points):
    """Return the places where the error has its extremes, one between each two of its zeros."""
    n, grid = 1500, []
    for k in range(n + 1):
        grid.append(half * mp.cos(mp.pi * k / n))
    runs, before = [], 0
    for r in grid:
        e = error(q, r)
        sign = mp.sign(e)
        if sign == 0:
            continue
        if sign != before:
            runs.append((r, abs(e)))
            before = sign
        elif abs(e) > runs[-1][1]:
            runs[-1] = (r, abs(e))
    if len(runs) < len(points):
        return points
    while len(runs) > len(points):
        runs.pop(0 if runs[0][1] < runs[-1][1] else -1)
    return [r for r, _ in runs]


def tables():
    """Return {name: whether each entry is the bits of 2**(j/n) rounded, less j at its place}."""
    text = (SOURCES / "math/power.h").read_text()
    found = {}
    for bits, size, body in re.findall(
        r"power_table_f(\d+)\[(\d+)\][^{]*\{(.*?)\};", text, re.DOTALL
    ):
        entries = [int(word, 16) for word in re.findall(r"0x[\da-f]+", body)]
        mantissa, bias = (23, 127) if bits == "32" else (52, 1023)
        step = mantissa - int(size).bit_length() + 1
        want = [
            (bias << mantissa)
            + int(mp.nint((mp.mpf(2) ** (mp.mpf(j) / int(size)) - 1) * 2**mantissa))
            - (j << step)
            for j in range(int(size))
        ]
        found[f"f{bits}, {size} entries"] = entries == want
    return found


def worst_of_series(name, n=2000):
    """Return the largest relative error of a series; its coefficients stand in pairs, the odd power first."""
    path, function, exact, largest = SERIES[name]
    body = re.search(rf"{function}\(.*?\n\}}", (SOURCES / path).read_text(), re.DOTALL)[0]
    words = [mp.mpf(float.fromhex(word)) for word in re.findall(HEXADECIMAL, body)]
    ascending = [words[k ^ 1] for k in range(len(words))]
    errors = []
    for k in range(1, n + 1):
        argument = largest * k / n
        series = sum(c * argument ** (2 * i) for i, c in enumerate(ascending))
        errors.append(abs(series / exact(argument) - 1))
    return max(errors)


def worst_of_caps(name, n=500):
    """Return the largest error of H, relative to what tanh(u) is less than u."""
    text = (SOURCES / "loss/softcap.h").read_text()
    body = re.search(rf"{CAPS[name]}\[\w+\] = \{{(.*?)\}};", text, re.DOTALL)[1]
    factors = [mp.mpf(float.fromhex(word)) for word in re.findall(HEXADECIMAL, body)]
    errors = []
    for k in range(1, n + 1):
        u = mp.mpf(k) / (2 * n)
        taken = u**3 / 3 - u**5 * sum(c * u ** (2 * i) for i, c in enumerate(factors))
        errors.append(abs(taken / (u - mp.tanh(u)) - 1))
    return max(errors)


def worst_of_rest(dtype, n=2000):
    """Return the largest relative error of exp_rest in loss/divergence_rows.h, and where it is."""
    text = (SOURCES / "loss/divergence_rows.h").read_text()
    body = re.search(rf"exp_rest_{dtype}\(.*?\n\}}", text, re.DOTALL)[0]
    words = re.findall(HEXADECIMAL, re.sub(r"-\s+0x", "-0x", body))
    factors = [mp.mpf(float.fromhex(word)) for word in words]
    points = [mp.mpf(k) / n for k in range(-n, n + 1) if k]
    errors = {r: mp.polyval(factors, r) / ((mp.exp(-r) - 1 + r) / r**2) - 1 for r in points}
    at = max(points, key=lambda r: abs(errors[r]))
    return abs(errors[at]), at


def worst_of_numba_power(n=2000):
    """Return the largest relative error of 2**r for abs(r) <= 1/2 in the Numba back end, from the coefficients _Q."""
    body = re.search(r"_Q6.*?\)\)", NUMBA.read_text(), re.DOTALL)[0]
    factors = [mp.mpf(float.fromhex(word)) for word in re.findall(HEXADECIMAL, body)]
    points = [mp.mpf(k) / (2 * n) for k in range(-n, n + 1)]
    return max(abs((1 + r * mp.polyval(factors, r)) / mp.mpf(2) ** r - 1) for r in points)


def power_errors():
    """Return the entries of power_table_error beside what the table of doubles has lost, relative to it."""
    text = (SOURCES / "loss/softcap.h").read_text()
    body = re.search(r"power_table_error\[8\][^{]*\{(.*?)\};", text, re.DOTALL)[1]
    found = [mp.mpf(float.fromhex(word)) for word in re.findall(rf"{HEXADECIMAL}|\b0\b", body)]
    exact = [mp.mpf(2) ** (mp.mpf(j) / 8) for j in range(8)]
    return found, [value / mp.mpf(float(value)) - 1 for value in exact]


def parts_of_ln2(header):
    """Return LN2_HIGH and LN2_LOW of a header."""
    text = (SOURCES / header).read_text()
    return [
        mp.mpf(float.fromhex(re.search(rf"#define LN2_{part} ({HEXADECIMAL})", text)[1]))
        for part in ("HIGH", "LOW")
    ]


def parts_of_ln2_in_pairs():
    """Return ln 2 in the four parts of math/pairs.h, which add up to it."""
    text = (SOURCES / "math/pairs.h").read_text()
    body = re.search(r"DoublePair pair_exp\(.*?\n\}", text, re.DOTALL)[0]
    words = re.findall(rf"-n \* ({HEXADECIMAL})|pair_of\(({HEXADECIMAL}), ({HEXADECIMAL})\)", body)
    return [mp.mpf(float.fromhex(word)) for found in words for word in found if word]


def main():
    """Print the table."""
    print(f"{'':20} {'error':>10} {'at r =':>8}   best of its degree")
    for name, (header, bits) in POLYNOMIALS.items():
        q = coefficients(header, bits)
        largest, at = worst(q, bits)
        best, _ = worst(remez(len(q) - 1, bits), bits, 1000)
        print(
            f"{name:20} 2**{float(mp.log(largest, 2)):7.2f} {float(at):8.3f}   2**{float(mp.log(best, 2)):.2f}"
        )
    for name in SERIES:
        print(f"{name:20} 2**{float(mp.log(worst_of_series(name), 2)):7.2f}")
    for name in CAPS:
        print(f"{'tanh, ' + name:20} 2**{float(mp.log(worst_of_caps(name), 2)):7.2f}")
    for dtype in ("f32", "f64"):
        largest, at = worst_of_rest(dtype)
        print(f"{'exp_rest_' + dtype:20} 2**{float(mp.log(largest, 2)):7.2f} {float(at):8.3f}")
    print(f"{'2**r, Numba':20} 2**{float(mp.log(worst_of_numba_power(), 2)):7.2f}")
    parts = {header: parts_of_ln2(header) for header in ("simd/float32.h", "simd/float64.h")}
    parts["math/pairs.h"] = parts_of_ln2_in_pairs()
    for header, found in parts.items():
        print(f"ln 2 of {header}: 2**{float(mp.log(abs(sum(found) - mp.log(2)), 2)):.1f}")
    stored, exact = power_errors()
    off = max(
        abs(mine / want - 1) if want else abs(mine)
        for mine, want in zip(stored, exact, strict=True)
    )
    print(
        f"errors of the table of doubles in loss/softcap.h: {'right' if off < 1e-3 else 'WRONG'} to {float(off):.1e}"
    )
    for name, is_right in tables().items():
        print(f"2**(j/n), {name}: {'rounded' if is_right else 'WRONG'}")


if __name__ == "__main__":
    main()
