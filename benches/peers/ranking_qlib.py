"""Scores by qlib's expression engine: pandas, instrument by instrument, from a folder of its own files (which hold
32-bit numbers, so that scores have six digits). It knows no ranks across the market. Its days stand for our candles.
"""

import pathlib
import tempfile
import time

import numpy as np
import ranking_text as text

MOST = 25
SUPPORTED = {"number", "volatility", "correlation", *text.UNARY, *text.BINARY, *text.ROLLING, *text.UNITS}
SUPPORTED |= text.PLAIN_SERIES
FIELDS = ["open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_ratio", "typical"]
NAMES = {"mean": "Mean", "sum": "Sum", "highest": "Max", "lowest": "Min", "decay": "WMA", "delay": "Ref", "abs": "Abs"}
NAMES |= {"log": "Log", "sign": "Sign", "min": "Less", "max": "Greater", "correlation": "Corr"}


def written(node):
    """The node in qlib's language."""
    kind = node[0]
    if kind == "number":
        return repr(node[1])
    inner = [written(part) for part in text.parts(node)]
    if kind == "series":
        name, *n = node[1:]
        if name in FIELDS:
            return f"${name}"
        n = n[0]
        change = "($close-Ref($close,1))"
        if name == "ema":
            return f"EMA($close,{n})"
        if name == "amihud":
            return f"Mean(Abs($close/Ref($close,1)-1)/$quote_volume,{n})"
        if name == "natr":
            ranges = "Greater($high,Ref($close,1))-Less($low,Ref($close,1))"
            return f"(100*EMA({ranges},{2 * n - 1})/$close)"
        up, down = (f"EMA(Greater({sign}{change},0),{2 * n - 1})" for sign in ("", "0-"))
        return f"(100*{up}/({up}+{down}))"
    if kind == "volatility":
        return f"Power(Mean(Power(Log($close/Ref($close,1)),2),{node[1]}),0.5)"
    if kind in {"+", "-", "*", "/"}:
        return f"({inner[0]}{kind}{inner[1]})"
    if kind == "negate":
        return f"(0-{inner[0]})"
    x, n = inner[0], node[-1]
    if kind == "delta":
        return f"({x}-Ref({x},{n}))"
    if kind == "deviation":
        return f"(Std({x},{n})*{((n - 1) / n) ** 0.5!r})"
    if kind == "ts_rank":
        return f"((Rank({x},{n})*{n}-1)/{n - 1})"
    windows = [] if kind in text.UNARY or kind in text.BINARY else [str(n)]
    return f"{NAMES[kind]}({','.join(inner + windows)})"


def supports(strategy):
    return text.operators(strategy.score) <= SUPPORTED


class Engine:
    def __init__(self, market, strategies):
        import pandas as pd
        import qlib

        began = time.perf_counter()
        self.strategies, self.failed = strategies[:MOST], {}
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        days = pd.date_range("1980-01-01", periods=market.slots).strftime("%Y-%m-%d")
        self.first, self.last = days[0], days[-1]
        for name in ("calendars", "instruments"):
            (folder / name).mkdir()
        (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
        self.symbols = [f"C{number:02}" for number in range(len(market.fields["close"]))]
        lines = [f"{symbol}\t{self.first}\t{self.last}" for symbol in self.symbols]
        (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")
        for number, symbol in enumerate(self.symbols):
            place = folder / "features" / symbol.lower()
            place.mkdir(parents=True)
            for name in FIELDS:
                values = np.concatenate(([0.0], market.fields[name][number]))
                values.astype("<f4").tofile(place / f"{name}.day.bin")
        qlib.init(
            provider_uri=str(folder), region="us", expression_cache=None, dataset_cache=None, kernels=1,
            logging_level=40,
        )
        self.compiled_s = time.perf_counter() - began

    def run(self, take=None):
        from qlib.data import D
        from qlib.data.cache import H

        H.clear()
        for strategy in self.strategies:
            frame = D.features(self.symbols, [written(strategy.score)], self.first, self.last, freq="day")
            if take is not None:
                take(strategy, frame.iloc[:, 0].to_numpy().reshape(len(self.symbols), -1).T.astype(float))
