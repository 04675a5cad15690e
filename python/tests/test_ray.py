"""A cluster of two nodes on this machine computes what one process computes, to the bit."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sgai

ray = pytest.importorskip("ray", reason="Ray is not installed")
import sgai.ray as spread  # noqa: E402

from .test_local import DAY, SMALL, START, WALK  # noqa: E402


def node(*options):
    """Start a node on loopback that lives as long as its process."""
    given = ["--node-ip-address=127.0.0.1", "--num-cpus=1", f"--object-store-memory={100 << 20}", "--disable-usage-stats", *options]
    script = Path(sys.executable).with_name("ray")
    return subprocess.Popen([script, "start", "--block", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def alive(wanted):
    """Wait until there are so many nodes."""
    ends = time.monotonic() + 60
    while (found := len([one for one in ray.nodes() if one["Alive"]])) != wanted:
        assert time.monotonic() < ends, f"{found} nodes, not {wanted}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    head = node("--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false")
    started = [head]
    try:
        ends = time.monotonic() + 60
        while True:
            try:
                ray.init(address=address, _node_ip_address="127.0.0.1", log_to_driver=False)
                break
            except Exception:
                assert head.poll() is None and time.monotonic() < ends, "the head did not start"
                time.sleep(1)
        started.append(node(f"--address={address}"))
        alive(2)
        yield address
    finally:
        ray.shutdown()
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)


def test_work_reaches_both_nodes(cluster):
    @ray.remote(num_cpus=1)
    def where(settings, jobs):
        return ray.get_runtime_context().get_node_id(), sgai.digest(sgai.calibrate(settings, jobs, threads=1))

    # Each node by name: both have the package, and it comes to the same there.
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    jobs, nodes = sgai.jobs("noise", 1), [one["NodeID"] for one in ray.nodes() if one["Alive"]]
    pinned = [where.options(scheduling_strategy=strategy(one, soft=False)).remote(SMALL, jobs) for one in nodes]
    assert ray.get(pinned) == [(one, sgai.digest(sgai.calibrate(SMALL, jobs))) for one in nodes]


def test_calibrations_are_those_of_one_process(cluster):
    jobs = sgai.jobs("noise", 4) + sgai.jobs("momentum", 1, sharpe=7.0)
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
    lost = node(f"--address={cluster}")
    alive(3)
    jobs = sgai.jobs("noise", 6)
    settings = {**SMALL, "seed": 3}
    task, pieces = spread._task(spread._calibrate, 1), [[job] for job in jobs]
    waiting = [task.remote(sgai.CODE_VERSION, settings, piece, 1) for piece in pieces]
    ray.wait(waiting, num_returns=1)
    lost.kill()
    lost.wait(30)
    alive(2)
    assert sgai.digest([tried for piece in ray.get(waiting) for tried in piece]) == sgai.digest(sgai.calibrate(settings, jobs))


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(ValueError, match="not"):
        spread.calibrate(SMALL, sgai.jobs("noise", 1), markets_a_task=size)
    with pytest.raises(ValueError, match="not"):
        spread.calibrate(SMALL, sgai.jobs("noise", 1), processors=size)
