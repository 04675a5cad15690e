"""A cluster of two nodes on this machine computes what one process computes, to the bit."""

import os

import pytest

import sgai

ray = pytest.importorskip("ray", reason="Ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")
import sgai.ray as spread  # noqa: E402

from .test_local import DAY, SMALL, START, WALK  # noqa: E402

# On loopback: nothing here is for the network.
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_work_reaches_both_nodes(cluster):
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2

    @ray.remote(num_cpus=1)
    def where(settings, jobs):
        return ray.get_runtime_context().get_node_id(), sgai.digest(sgai.calibrate(settings, jobs, threads=1))

    # Each node by name: both have the package, and it comes to the same there.
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    jobs, nodes = sgai.jobs("noise", 1), [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    pinned = [where.options(scheduling_strategy=strategy(node, soft=False)).remote(SMALL, jobs) for node in nodes]
    assert ray.get(pinned) == [(node, sgai.digest(sgai.calibrate(SMALL, jobs))) for node in nodes]


def test_calibrations_are_those_of_one_process(cluster):
    jobs = sgai.jobs("noise", 4) + sgai.jobs("momentum", 2, sharpe=7.0)
    here = sgai.digest(sgai.calibrate(SMALL, jobs))
    assert sgai.digest(spread.calibrate(SMALL, jobs)) == here
    assert sgai.digest(spread.calibrate(SMALL, jobs, markets_a_task=4)) == here


def test_searches_and_backtests_are_those_of_one_process(cluster):
    candles = sgai.simulate(sgai.noise_market(7, ["BTCUSDT"], START), "15m", START, START + 90 * DAY)
    span = (START + 30 * DAY, START + 90 * DAY)
    config = {"population_size": 16, "generations": 2, "elites": 2}
    here = [sgai.search(candles, *span, seed=seed, config=config) for seed in (1, 2, 3)]
    assert sgai.digest(spread.searches(candles, *span, seeds=(1, 2, 3), config=config)) == sgai.digest(here)
    strategies = [one["strategy"] for found in here for one in found["champions"]]
    answers = spread.backtest(strategies, candles, *span, strategies_a_task=4)
    assert sgai.digest(answers) == sgai.digest(sgai.backtest(strategies, candles, *span))


def test_walks_are_those_of_one_process(cluster):
    coins = sgai.simulate(sgai.coin_market(5, 12, START, 330), "4h", START, START + 330 * DAY)
    span = (START + 244 * DAY, START + 305 * DAY)
    settings = [{**WALK, "seed": seed} for seed in (1, 2)]
    there = spread.walks(coins, *span, settings=settings)
    for one, walk in zip(settings, there, strict=True):
        here = sgai.Walk.begin(coins, *span, one)
        while not here.finished:
            here = here.block()
        assert walk.state == here.state and walk.finished


def test_another_build_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(sgai, "CODE_VERSION", "0.0.0+other")
    with pytest.raises(spread.OtherBuildError, match=r"0\.0\.0\+other"):
        spread.calibrate(SMALL, sgai.jobs("noise", 1))


def test_a_lost_node_costs_time_and_nothing_else(cluster):
    lost = cluster.add_node(**NODE)
    jobs = sgai.jobs("noise", 6)
    settings = {**SMALL, "seed": 3}
    task, pieces = spread._task(spread._calibrate, 1), [[job] for job in jobs]
    waiting = [task.remote(sgai.CODE_VERSION, settings, piece, 1) for piece in pieces]
    ray.wait(waiting, num_returns=1)
    cluster.remove_node(lost, allow_graceful=False)
    assert sgai.digest([tried for piece in ray.get(waiting) for tried in piece]) == sgai.digest(sgai.calibrate(settings, jobs))


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(ValueError, match="not"):
        spread.calibrate(SMALL, sgai.jobs("noise", 1), markets_a_task=size)
    with pytest.raises(ValueError, match="not"):
        spread.calibrate(SMALL, sgai.jobs("noise", 1), processors=size)
