"""Calibration markets, searches, backtests and walks, spread over a Ray cluster.

Each piece of work is a task of its own that depends on its arguments alone, so that what comes back is what one process
would have computed, to the bit: a task that Ray runs again on another machine gives the same. Every machine needs this
package of the same build; one of another build refuses. Connect first: ``ray.init(address="auto")``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ray

import sgai

__all__ = ["OtherBuildError", "backtest", "calibrate", "searches", "walks"]

#: How often Ray repeats a task whose worker or machine was lost.
RETRIES = 5


class OtherBuildError(RuntimeError):
    """A machine of the cluster has another build of sgai, whose numbers may be others."""


def _same_build(build: str) -> None:
    if build != sgai.CODE_VERSION:
        raise OtherBuildError(f"this machine has sgai {sgai.CODE_VERSION}, whoever asks has {build}")


def _calibrate(build: str, settings: dict[str, Any] | None, jobs: list, threads: int) -> list:
    _same_build(build)
    return sgai.calibrate(settings, jobs, threads=threads)


def _search(build: str, candles: list, span: tuple[int, int], options: dict[str, Any], threads: int) -> dict:
    _same_build(build)
    return sgai.search(candles, *span, threads=threads, **options)


def _backtest(build: str, candles: list, span: tuple[int, int], strategies: list, terms: Any, threads: int) -> list:
    _same_build(build)
    return sgai.backtest(strategies, candles, *span, terms=terms, threads=threads)


def _block(build: str, candles: list, settings: dict[str, Any] | None, state: bytes, threads: int) -> bytes:
    _same_build(build)
    return sgai.Walk(candles, settings, state).block(threads=threads).state


def _task(function: Any, processors: int) -> Any:
    if processors < 1:
        raise ValueError(f"a task needs a processor at least, not {processors}")
    return ray.remote(num_cpus=processors, max_retries=RETRIES)(function)


def _pieces(values: list, size: int) -> list[list]:
    if size < 1:
        raise ValueError(f"a piece holds one at least, not {size}")
    return [values[at : at + size] for at in range(0, len(values), size)]


def calibrate(
    settings: dict[str, Any] | None, jobs: Iterable[dict[str, Any]], *, markets_a_task: int = 1, processors: int = 1
) -> list[dict[str, Any]]:
    """Do as :func:`sgai.calibrate`, so many markets a task; in order."""
    task = _task(_calibrate, processors)
    pieces = _pieces(list(jobs), markets_a_task)
    found = ray.get([task.remote(sgai.CODE_VERSION, settings, piece, processors) for piece in pieces])
    return [tried for piece in found for tried in piece]


def searches(
    candles: Sequence[sgai.Candles],
    from_ms: int,
    to_ms: int,
    *,
    seeds: Iterable[int],
    processors: int = 1,
    **options: Any,
) -> list[dict[str, Any]]:
    """Do as :func:`sgai.search` for each seed, a task each; in order. Candles travel to each machine once."""
    task, there = _task(_search, processors), ray.put(list(candles))
    span = (from_ms, to_ms)
    asked = [{**options, "seed": seed} for seed in seeds]
    return ray.get([task.remote(sgai.CODE_VERSION, there, span, one, processors) for one in asked])


def backtest(
    strategies: Sequence[str],
    candles: Sequence[sgai.Candles],
    from_ms: int,
    to_ms: int,
    *,
    terms: dict[str, Any] | None = None,
    strategies_a_task: int = 1_000,
    processors: int = 1,
) -> list[dict[str, Any]]:
    """Do as :func:`sgai.backtest`, so many strategies a task; in order. Worth it for many: columns are computed in each task."""
    task, there = _task(_backtest, processors), ray.put(list(candles))
    span = (from_ms, to_ms)
    pieces = _pieces(list(strategies), strategies_a_task)
    found = ray.get([task.remote(sgai.CODE_VERSION, there, span, piece, terms, processors) for piece in pieces])
    return [answer for piece in found for answer in piece]


def walks(
    candles: Sequence[sgai.Candles],
    from_ms: int,
    to_ms: int,
    *,
    settings: Iterable[dict[str, Any]],
    processors: int = 1,
) -> list[sgai.Walk]:
    """Walk a book for each of the settings (of other seeds, say), a task a block; in order.

    Blocks of one walk follow each other: each begins with what the one before it found. A lost machine costs the block that was under way.
    """
    candles, settings = list(candles), list(settings)
    task, there = _task(_block, processors), ray.put(candles)
    states = []
    for one in settings:
        walk = sgai.Walk.begin(candles, from_ms, to_ms, one)
        state: Any = walk.state
        for _ in range(walk.report["planned"]):
            state = task.remote(sgai.CODE_VERSION, there, one, state, processors)
        states.append(state)
    finished = ray.get(states)
    return [sgai.Walk(candles, one, state) for one, state in zip(settings, finished, strict=True)]
