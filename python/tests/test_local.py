"""What one process computes: held to other ways to the same numbers, and to the bit at other numbers of threads."""

import json
import math
import pickle
import threading
import time
import tomllib
from pathlib import Path

import numpy
import pytest

import sgai

START = 1_704_067_200_000
DAY = sgai.DAY_MS
ROOT = Path(__file__).parents[2]
SMALL = {
    "search": {"population_size": 12, "generations": 2, "elites": 2},
    "protocol": {"null_searches": 3},
    "days": {"search": 20, "holdout": 10, "shadow": 10, "live": 5},
    "warmup_days": 10,
    "symbols": ["BTCUSDT"],
}


@pytest.fixture(scope="module")
def candles():
    market = sgai.noise_market(7, ["BTCUSDT", "ETHUSDT"], START)
    return sgai.simulate(market, "15m", START, START + 90 * DAY)


@pytest.fixture(scope="module")
def strategies(candles):
    config = {"population_size": 30, "generations": 2, "elites": 4}
    found = sgai.search(candles, START + 30 * DAY, START + 90 * DAY, seed=3, config=config, champions=20)
    return [one["strategy"] for one in found["champions"]]


def test_a_strategy_has_one_text_and_one_hash(strategies):
    for text in strategies:
        again, name = sgai.canonical(text)
        assert again == text and len(name) == 64 and sgai.describe(text)
    with pytest.raises(ValueError, match="strategy"):
        sgai.canonical("buy low, sell high")


def test_columns_bytes_and_pickle_give_the_same_candles(candles):
    one = candles[0]
    columns = one.columns()
    arrays = {name: numpy.array(values) for name, values in columns.items()}
    for given in (columns, arrays):
        again = sgai.Candles(one.symbol, one.interval, **given)
        assert again.to_bytes() == one.to_bytes()
    assert pickle.loads(pickle.dumps(one)).to_bytes() == one.to_bytes()
    assert len(one) == 90 * 96 and one.end_ms == START + 90 * DAY
    for damaged in (b"", one.to_bytes()[:-1], one.to_bytes() + b"12345678", b"x" + one.to_bytes()):
        with pytest.raises(ValueError, match="bytes"):
            sgai.Candles.from_bytes(damaged)


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [("high", 0.0, "candle 5"), ("close", math.nan, "candle 5"), ("open_time_ms", START, "candle 5"), ("trade_count", -1, "below 0")],
)
def test_candles_that_cannot_be_are_refused(candles, column, value, word):
    columns = {name: list(values[:10]) for name, values in candles[0].columns().items()}
    columns[column][5] = value
    with pytest.raises(ValueError, match=word):
        sgai.Candles("BTCUSDT", "15m", **columns)
    columns[column].pop()
    with pytest.raises(ValueError, match="9"):
        sgai.Candles("BTCUSDT", "15m", **columns)


def test_backtests_are_the_same_at_any_number_of_threads_and_add_up(candles, strategies):
    span = (START + 30 * DAY, START + 90 * DAY)
    one, two = (sgai.backtest(strategies, candles, *span, threads=n) for n in (1, 2))
    assert sgai.digest(one) == sgai.digest(two)
    traded = [answer for answer in one if answer["performance"]["total_return"]]
    assert len(traded) > 3
    for answer in traded:
        # By hand: what the days came to, and the Sharpe ratio of their returns.
        days = numpy.array(answer["daily_returns"])
        assert len(days) == 60
        assert math.isclose(numpy.prod(1 + days) - 1, answer["performance"]["total_return"], rel_tol=1e-9)
        sharpe = days.mean() / days.std(ddof=1) * math.sqrt(365)
        assert math.isclose(sharpe, answer["performance"]["sharpe_ratio"], rel_tol=1e-9)


def test_costs_are_charged_as_told(candles, strategies):
    span = (START + 30 * DAY, START + 90 * DAY)
    free = {"costs": {"fee_fraction": 0.0, "slippage": {"model": "fixed", "bps": 0.0}, "maintenance_margin_fraction": 0.004}}
    paid = sgai.backtest(strategies, candles, *span)
    for without, answer in zip(sgai.backtest(strategies, candles, *span, terms=free), paid, strict=True):
        if answer["performance"]["total_return"]:
            assert without["performance"]["total_return"] > answer["performance"]["total_return"]
    with pytest.raises(ValueError, match="unknown field"):
        sgai.backtest(strategies, candles, *span, terms={"fees": 0})
    with pytest.raises(ValueError, match="terms"):
        sgai.backtest(strategies, candles, *span, terms={"initial_capital": -1.0})


def test_what_cannot_be_evaluated_harms_nobody(candles, strategies):
    span = (START + 30 * DAY, START + 90 * DAY)
    answers = sgai.backtest(["nonsense", strategies[0]], candles, *span)
    assert "error" in answers[0] and answers[1] == sgai.backtest(strategies[:1], candles, *span)[0]
    with pytest.raises(ValueError, match="window"):
        sgai.backtest(strategies, candles, START, START + DAY)
    with pytest.raises(ValueError, match="window"):
        sgai.backtest(strategies, [], *span)


def test_a_search_is_its_seed(candles):
    def found(seed, threads):
        config = {"population_size": 20, "generations": 2, "elites": 2}
        return sgai.search(candles, START + 30 * DAY, START + 90 * DAY, seed=seed, config=config, threads=threads)

    one = found(1, 1)
    assert sgai.digest(one) == sgai.digest(found(1, 2)) and one["digest"] != found(2, 2)["digest"]
    assert one["counters"]["evaluations"] >= 40 and len(one["generations"]) == 2
    with pytest.raises(ValueError, match="search"):
        sgai.search(candles, START, START + 90 * DAY, seed=1, config={"population_size": 0})
    with pytest.raises(ValueError, match="unknown field"):
        sgai.search(candles, START, START + 90 * DAY, seed=1, config={"populatoin_size": 10})


def test_pythons_lock_is_released(candles):
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    ticking = threading.Thread(target=tick)
    ticking.start()
    began = time.monotonic()
    sgai.search(candles, START + 30 * DAY, START + 90 * DAY, seed=1, config={"population_size": 200, "generations": 2}, threads=1)
    took = time.monotonic() - began
    done.set()
    ticking.join()
    # Without that the search, a single call, would have let it tick once or twice.
    assert len([at for at in ticks if began <= at < began + took]) >= 5, f"{len(ticks)} ticks in {took} s"


def test_a_calibration_market_depends_on_settings_and_job_alone():
    jobs = sgai.jobs("noise", 2) + sgai.jobs("momentum", 1, sharpe=7.0)
    together = sgai.calibrate(SMALL, jobs, threads=2)
    apart = [sgai.calibrate(SMALL, [job], threads=1)[0] for job in reversed(jobs)][::-1]
    assert sgai.digest(together) == sgai.digest(apart)
    assert [tried["job"] for tried in together] == jobs and together[0]["evaluations"] > 0
    assert {row["markets"] for row in sgai.calibration_rows(together)} == {1, 2}
    assert sgai.calibrate({**SMALL, "seed": 2}, jobs[:1]) != together[:1]
    with pytest.raises(ValueError, match="apart"):
        sgai.calibrate(SMALL, jobs + sgai.jobs("rank-noise", 1))
    with pytest.raises(ValueError, match="unknown variant"):
        sgai.calibrate(SMALL, sgai.jobs("nose", 1))


def test_the_defaults_are_those_of_the_program():
    told = tomllib.loads((ROOT / "config/default.toml").read_text())
    here = sgai.calibration_settings()

    def same(ours, theirs, path):
        if isinstance(ours, dict):
            for name, value in ours.items():
                if name in theirs:
                    same(value, theirs[name], f"{path}.{name}")
            return
        assert ours == theirs, path

    for name in ("search", "protocol", "lifecycle", "staying"):
        assert here[name].keys() & told[name].keys(), name
        same(here[name], told[name], name)
    daemon = told["daemon"]
    assert here["symbols"] == daemon["symbols"] and here["interval"] == daemon["interval"]
    assert here["candidates"] == daemon["candidates_per_session"] and here["warmup_days"] == daemon["warmup_days"]
    assert (here["days"]["search"], here["days"]["holdout"]) == (daemon["backtest_days"], daemon["holdout_days"])
    assert here["terms"]["initial_capital"] == told["engine"]["initial_capital"]
    assert here["execution"] == told["portfolio"]["execution"] and here["terms"]["costs"] is None


def test_what_it_is_built_of_is_what_the_program_is_built_of():
    def packages(path):
        return {(one["name"], one["version"]) for one in tomllib.loads(path.read_text())["package"]}

    here, there = packages(ROOT / "python/Cargo.lock"), packages(ROOT / "Cargo.lock")
    names = {name for name, _ in there}
    assert {one for one in here if one[0] in names} <= there
    ours = tomllib.loads((ROOT / "python/Cargo.toml").read_text())["package"]["version"]
    assert sgai.CODE_VERSION.startswith(f"{ours}+") and ("sg-ai", ours) in there


def test_costs_that_are_not_told_are_those_of_the_venue(candles, strategies):
    told = tomllib.loads((ROOT / "config/default.toml").read_text())["costs"]
    costs = {name: told[name] for name in ("slippage", "maintenance_margin_fraction", "delisting_fraction")}
    span = (START + 30 * DAY, START + 90 * DAY)
    for market, fee in (("spot", "spot_fee_fraction"), ("um", "um_fee_fraction")):
        there = [sgai.Candles(one.symbol, one.interval, market=market, **one.columns()) for one in candles]
        given = {"costs": {**costs, "fee_fraction": told[fee]}}
        assert sgai.backtest(strategies, there, *span) == sgai.backtest(strategies, there, *span, terms=given), market
    mixed = [candles[0], there[1]]
    with pytest.raises(ValueError, match="two venues"):
        sgai.backtest(strategies, mixed, *span)


WALK = {"book": {"search_days": 120, "least_days": 60, "population_size": 12, "generations": 1, "null_searches": 1}}


@pytest.fixture(scope="module")
def coins():
    return sgai.simulate(sgai.coin_market(5, 12, START, 330), "4h", START, START + 330 * DAY)


def test_a_walk_goes_on_from_its_bytes_to_the_bit(coins):
    span = (START + 244 * DAY, START + 305 * DAY)  # September and October
    walk = sgai.Walk.begin(coins, *span, WALK)
    assert walk.report["planned"] == 2 and not walk.finished
    one = walk.block(threads=1)
    two = one.block(threads=2)
    resumed = sgai.Walk(coins, WALK, one.state).block(threads=1)
    assert two.state == resumed.state and two.finished and two.block().state == two.state
    days = [day for block in two.report["blocks"] for day in block["days"]]
    assert len(days) == 61 and json.dumps(days)
    with pytest.raises(ValueError, match="another settings"):
        sgai.Walk(coins, {**WALK, "seed": 2}, one.state).block()
    with pytest.raises(ValueError, match="another candles"):
        sgai.Walk(coins[1:], WALK, one.state).block()
    with pytest.raises(ValueError, match="walk"):
        sgai.Walk(coins, WALK, one.state[:-1]).block()
    with pytest.raises(ValueError, match="walk"):
        sgai.Walk.begin(coins, START, START + DAY, WALK)
