"""sg-ai's engine, search and evidence protocol, for research.

Takes and gives plain values: texts of strategies, :class:`Candles`, dictionaries as the program's JSON has them. The same
arguments give the same bits, at any number of threads, in any process, on any machine: :func:`digest` compares them. Python's lock is
released while the crates compute. Never reads a file, a clock or a database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from . import _native
from ._native import CODE_VERSION, MEANING, Candles

__all__ = [
    "CODE_VERSION",
    "MEANING",
    "Candles",
    "Walk",
    "backtest",
    "calibrate",
    "calibration_rows",
    "calibration_settings",
    "canonical",
    "coin_market",
    "describe",
    "digest",
    "jobs",
    "noise_market",
    "search",
    "simulate",
]

DAY_MS = 86_400_000


def digest(value: Any) -> str:
    """SHA-256, in hex, of a value's JSON with sorted names: floats count to the bit.

    Raises ``ValueError`` where there is a NaN or an infinity, which no result holds.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(settings: dict[str, Any] | None) -> str:
    return json.dumps(settings or {}, allow_nan=False)


def canonical(strategy: str) -> tuple[str, str]:
    """Give a strategy's one text, and its hash; of rules or of a ranking."""
    return _native.canonical(strategy)


def describe(strategy: str) -> str:
    """Say in plain sentences what a strategy does."""
    return _native.describe(strategy)


def backtest(
    strategies: Sequence[str],
    candles: Sequence[Candles],
    from_ms: int,
    to_ms: int,
    *,
    terms: dict[str, Any] | None = None,
    threads: int = 0,
) -> list[dict[str, Any]]:
    """Backtest strategies of rules, all of them over the same candles.

    Rules are evaluated on candles that open in ``[from_ms, to_ms)``, UTC milliseconds; earlier ones warm indicators up, and none may close
    after it. ``terms``: ``initial_capital``, ``costs``, ``fill_on``. ``threads`` of 0 is one a processor.

    One answer a strategy, in order: ``performance``, ``per_symbol``, ``daily_returns`` (net, fractions), ``trades_digest``; or ``error``.
    """
    answers = _native.backtest(list(strategies), list(candles), (from_ms, to_ms), _told(terms), threads)
    return [json.loads(answer) for answer in answers]


def search(
    candles: Sequence[Candles],
    from_ms: int,
    to_ms: int,
    *,
    seed: int,
    config: dict[str, Any] | None = None,
    champions: int = 10,
    terms: dict[str, Any] | None = None,
    threads: int = 0,
) -> dict[str, Any]:
    """Breed strategies of rules on a window.

    ``config`` is the table ``[search]`` of the program's configuration, as far as it differs from the defaults. What
    it finds is in-sample: luck has found most of it, which :func:`calibrate` measures.

    Gives ``generations``, the best ``champions`` of different kinds with ``fitness`` from 0 to 100, ``counters``, and
    ``digest`` of the whole state at the end.
    """
    told = _native.search(list(candles), (from_ms, to_ms), _told(config), seed, champions, _told(terms), threads)
    return json.loads(told)


def noise_market(seed: int, symbols: Sequence[str], start_ms: int) -> dict[str, Any]:
    """Describe a simulated market of these symbols without an edge; put edges into its ``edges``."""
    return json.loads(_native.noise_market(seed, list(symbols), start_ms))


def coin_market(seed: int, coins: int, start_ms: int, days: int) -> dict[str, Any]:
    """Describe a simulated market of made-up coins, some of them listed late or delisted within so many days."""
    return json.loads(_native.coin_market(seed, coins, start_ms, days))


def simulate(market: dict[str, Any], interval: str, from_ms: int, to_ms: int) -> list[Candles]:
    """Candles of all symbols of a simulated market that open in ``[from_ms, to_ms)``."""
    return _native.simulate(json.dumps(market), interval, from_ms, to_ms)


def calibration_settings(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Calibration settings with everything that was left out, which is as the program has it."""
    return json.loads(_native.calibration_settings(_told(settings)))


def jobs(kind: str, markets: int, sharpe: float = 0.0, first: int = 0) -> list[dict[str, Any]]:
    """Markets to try of one kind and strength: ``noise``, ``momentum``, ``rank-noise`` and so on (``sg-ai calibrate --help``)."""
    return [{"kind": kind, "sharpe": sharpe, "number": number} for number in range(first, first + markets)]


def calibrate(settings: dict[str, Any] | None, jobs: Iterable[dict[str, Any]], *, threads: int = 0) -> list[dict[str, Any]]:
    """Try the protocol on simulated markets of which all is known; what became of each, in order.

    A market depends on settings and job alone. :func:`calibration_rows` counts.
    """
    return json.loads(_native.calibrate(_told(settings), json.dumps(list(jobs)), threads))


def calibration_rows(tried: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count what became of markets, by kind and strength, with intervals of 95 %."""
    return json.loads(_native.calibration_rows(json.dumps(list(tried))))


class Walk:
    """A book's walk over a market that is ranked, block by block; immutable, and bytes between two blocks."""

    def __init__(self, candles: Sequence[Candles], settings: dict[str, Any] | None, state: bytes) -> None:
        """Go on from a state that :attr:`state` gave, with the same candles and settings."""
        self._candles = list(candles)
        self._settings = _told(settings)
        #: The bytes that it goes on from; they hold a digest.
        self.state = state
        self._report: dict[str, Any] | None = None

    @classmethod
    def begin(cls, candles: Sequence[Candles], from_ms: int, to_ms: int, settings: dict[str, Any] | None = None) -> Walk:
        """Begin one from one 00:00 UTC to another; ``settings``: ``seed``, ``timeframe``, ``search``, ``book``, ``terms``."""
        state = _native.walk_begin(list(candles), _told(settings), (from_ms, to_ms))
        return cls(candles, settings, state)

    def block(self, *, threads: int = 0) -> Walk:
        """Walk one block more: search, admit, weigh, freeze, trade. A walk that is over stays as it is."""
        state = _native.walk_block(self._candles, self._settings, self.state, threads)
        following = object.__new__(Walk)
        following._candles, following._settings, following.state = self._candles, self._settings, state
        following._report = None
        return following

    @property
    def report(self) -> dict[str, Any]:
        """What it has come to: ``planned`` blocks, ``finished``, and its ``blocks`` with members and days."""
        if self._report is None:
            self._report = json.loads(_native.walk_told(self._candles, self._settings, self.state))
        return self._report

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.report["finished"]
