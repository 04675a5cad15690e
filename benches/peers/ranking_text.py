"""Canonical texts of strategies that rank the market, read into trees of tuples.

A node is ("number", value), ("series", name, parameters...), ("volatility", n), (operator, x), (operator, x, y),
(operator, x, n) or ("correlation", x, y, n). Equal texts are equal nodes, so that a node is its own key in a cache.
"""

import dataclasses
import re

ROLLING = {"delay", "delta", "mean", "deviation", "sum", "highest", "lowest", "ts_rank", "decay"}
ACROSS = {"cs_rank", "cs_zscore", "cs_demean", "relative"}
UNARY = {"negate", "abs", "log", "sign"}
BINARY = {"+", "-", "*", "/", "min", "max"}
# Powers of money and of coins; a plain number has neither.
UNITS = {name: (1, -1) for name in ("open", "high", "low", "close", "typical", "ema")}
UNITS |= {"volume": (0, 1), "quote_volume": (1, 0), "amihud": (-1, 0)}
PLAIN_SERIES = {"trades", "taker_buy_ratio", "rsi", "natr"}


class Unreadable(Exception):
    """A text, or a part of it, that is not known here."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    text: str
    score: tuple
    rebalance: str
    # None for linear, else percentages at the top and at the bottom (None without a bottom).
    ends: tuple | None
    inverse_volatility: int
    long_only: bool
    cap: float
    beta_neutral: int
    smooth: int
    band: float
    gross: float


class Reader:
    def __init__(self, text):
        self.tokens = re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?|[a-z_]+|\S", text)
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self, wanted=None):
        token = self.peek()
        if wanted is not None and token != wanted:
            raise Unreadable(f"{token!r} where {wanted!r} should be")
        self.at += 1
        return token

    def sum(self):
        x = self.product()
        while self.peek() in {"+", "-"}:
            x = (self.next(), x, self.product())
        return x

    def product(self):
        x = self.signed()
        while self.peek() in {"*", "/"}:
            x = (self.next(), x, self.signed())
        return x

    def signed(self):
        token = self.next()
        if token == "-":
            x = self.signed()
            return ("number", -x[1]) if x[0] == "number" else ("negate", x)
        if token == "(":
            x = self.sum()
            self.next(")")
            return x
        if token[:1].isdigit():
            return ("number", float(token))
        arguments = []
        if self.peek() == "(":
            self.next()
            arguments.append(self.sum())
            while self.peek() == ",":
                self.next()
                arguments.append(self.sum())
            self.next(")")
        return call(token, arguments)


def call(name, arguments):
    """A function or a series; numbers at the end are counts of candles."""
    numbers = [int(a[1]) for a in arguments if a[0] == "number"]
    plain = len(numbers) == len(arguments)
    if name == "realized_volatility":
        return ("volatility", *numbers)
    if (name in UNITS or name in PLAIN_SERIES) and plain:
        return ("series", name, *numbers)
    if name in UNARY or name in ACROSS or name in {"min", "max"}:
        return (name, *arguments)
    if name in ROLLING or name in {"correlation", "beta"}:
        return (name, *arguments[:-1], int(arguments[-1][1]))
    raise Unreadable(name)


def expression(text):
    reader = Reader(text)
    node = reader.sum()
    if reader.peek():
        raise Unreadable(f"{reader.peek()!r} after the end of {text}")
    return node


def share(text):
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def strategy(text):
    """Reads one canonical text: 4h candles, the universe of the bench."""
    clauses = [clause.strip() for clause in text.split(";")]
    if clauses[:2] != ["4h", "universe top 50 by quote_volume(30d), listed 60d"]:
        raise Unreadable(f"another universe or timeframe: {clauses[:2]}")
    words = {clause.split(" ", 1)[0]: clause.split(" ", 1)[1] for clause in clauses[2:]}
    found = {"ends": None, "inverse_volatility": 0, "long_only": False, "cap": 0.0, "beta_neutral": 0, "smooth": 1}
    found["band"] = 0.0
    for part in words["weights"].split(", "):
        *name, value = part.split(" ")
        name, inside = " ".join(name), re.search(r"\((\d+)\)", part)
        if part in {"linear", "equal"}:
            continue
        if part == "long only":
            found["long_only"] = True
        elif name == "top":
            found["ends"] = (float(value[:-1]), None)
        elif name == "bottom":
            found["ends"] = (found["ends"][0], float(value[:-1]))
        elif name in {"cap", "band"}:
            found[name] = share(value)
        elif name == "smooth":
            found["smooth"] = int(value)
        elif inside and part.startswith(("inverse volatility", "beta neutral")):
            found["_".join(part.split("(")[0].split())] = int(inside[1])
        else:
            raise Unreadable(part)
    return Strategy(text, expression(words["score"]), words["rebalance"], gross=float(words["gross"]), **found)


def parts(node):
    """The nodes that a node is written in."""
    return [part for part in node[1:] if isinstance(part, tuple)]


def looks_across(node):
    """Whether it looks across the market at the candle itself, outside of what looks back."""
    if node[0] in ACROSS:
        return True
    return (node[0] in UNARY or node[0] in BINARY) and any(looks_across(part) for part in parts(node))


def has_sight(node):
    """Whether anything in it looks across the market."""
    return node[0] in ACROSS or node[0] == "beta" or any(has_sight(part) for part in parts(node))


def operators(node):
    """Names of all operators and series in it."""
    own = {node[1]} if node[0] == "series" else {node[0]}
    return own.union(*(operators(part) for part in parts(node)))


def unit(node):
    """Powers of money and coins; None for the logarithm of something with a unit."""
    kind, inner = node[0], [unit(part) for part in parts(node)]
    if kind == "series":
        return UNITS.get(node[1], (0, 0))
    if kind in {"number", "volatility", "sign", "ts_rank", "correlation", "beta", "cs_rank", "cs_zscore", "relative"}:
        return (0, 0)
    if kind == "log":
        return (0, 0) if inner[0] == (0, 0) else None
    if kind in {"*", "/"}:
        sign = 1 if kind == "*" else -1
        return tuple(a + sign * b for a, b in zip(*inner, strict=True))
    if kind in {"+", "-"} and None in inner:
        return (0, 0)
    if kind in {"delta", "deviation", "cs_demean"} and inner[0] is None:
        return (0, 0)
    return next((u for u, part in zip(inner, parts(node), strict=True) if part != ("number", 0.0)), (0, 0))


def has_unit(node):
    """Whether its changes are relative ones."""
    return unit(node) not in {None, (0, 0)}
