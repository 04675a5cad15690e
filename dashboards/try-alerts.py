#!/usr/bin/env python3
"""Freezes one component of sg-ai after the other, and sees that the right alert fires in a real Prometheus, in time.

    dashboards/try-alerts.py [--factor 60] [--sg-ai target/debug/sg-ai] [--only exchange,database,...]

Starts, on loopback and in a folder of its own: a simulated exchange, a PostgreSQL server, `sg-ai continuous`,
`sg-ai shadow` and a Prometheus with the rules of this folder. Times are shortened: every `for`, every range and every
limit in seconds of the rules, the scrape interval and the intervals of the daemon are divided by the factor, and nothing
else is changed. What an alert has to keep is its stated time (limit and `for` of the rule) divided by the factor, plus
two scrapes and two evaluations and what the component needs until it is noticed at all.

A component is frozen with SIGSTOP (the clock: by setting the simulated exchange's speed to 0), watched until its alert
fires, and let go again; then everything has to become quiet before the next one. Ends with 1 when an alert is late, does
not fire, or one fires that should not. Needs prometheus, initdb and postgres on the path. Sends nothing anywhere.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SCRAPE_S = 2.0
# How long the exchange's clock runs for a second of ours: candles of a minute close every six seconds.
SPEED = 10

# What is frozen, its alert, limit and `for` in the rules (seconds), what may fire beside it, and what the component's own
# period adds before the limit begins to count (seconds at full length).
CASES = [
    ("exchange", "CandlesStale", 7200 + 300, {"NoGenerationsRecently", "ShadowStuck"}, 900),
    ("database", "DatabaseUnreachable", 120, {"DaemonDown"}, 0),
    ("shadow runner", "ShadowStuck", 3600 + 300, {"DaemonDown", "CandlesStale"}, 900),
    ("clock", "ExchangeClockStopped", 1800 + 300, {"NoGenerationsRecently"}, 900),
    ("search", "NoGenerationsRecently", 7200 + 60, {"DaemonDown"}, 3600),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Stage:
    """Everything that runs, and how to end it."""

    def __init__(self, args):
        self.args = args
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sg-ai-alerts-"))
        os.chmod(self.dir, 0o755)
        self.processes = {}

    def start(self, name, command, **more):
        with open(self.dir / f"{name}.log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir, **more)
        self.processes[name] = process
        return process

    def tail(self, name):
        return "".join((self.dir / f"{name}.log").read_text().splitlines(keepends=True)[-15:])

    def wait(self, what, look, patience_s=300):
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise SystemExit(f"{name} ended while waiting until {what}:\n{self.tail(name)}")
            try:
                found = look()
                if found:
                    return found
            except (OSError, ValueError, KeyError, urllib.error.URLError):
                pass
            time.sleep(0.25)
        raise SystemExit(f"waited in vain until {what}; firing: {self.firing()}")

    # -- parts ------------------------------------------------------------------------------------------------------

    def postgres(self):
        data, port = self.dir / "postgres", free_port()
        data.mkdir()
        more = {}
        if os.geteuid() == 0:
            # The server refuses to be root.
            shutil.chown(data, "nobody")
            more["user"] = "nobody"
        subprocess.run(["initdb", "-D", data, "-U", "sg_ai", "-A", "trust", "-N"], check=True, cwd=data,
                       stdout=subprocess.DEVNULL, **more)
        options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"]
        self.start("postgres", ["postgres", "-D", data, *options], **more)
        self.database_url = f"postgresql://sg_ai@127.0.0.1:{port}/postgres"
        self.wait("the database listens", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)

    def exchange(self):
        port = free_port()
        self.exchange_url = f"http://127.0.0.1:{port}"
        self.start("exchange", [self.args.sg_ai, "simulate-exchange", "--listen", f"127.0.0.1:{port}", "--symbols",
                                "BTCUSDT,ETHUSDT", "--base", "1m", "--history-days", "6", "--speed", str(SPEED),
                                "--weight-limit", "1000000"])
        self.wait("the exchange answers", lambda: get(f"{self.exchange_url}/sim/status"))

    def daemon(self, what):
        port, f = free_port(), self.args.factor
        env = {
            "PATH": os.environ["PATH"],
            "SG_DATA_DIR": str(self.dir / "data"),
            "DATABASE_URL": self.database_url,
            "SG__MARKET__SOURCE": self.exchange_url,
            "SG__HTTP__PORT": str(port),
            "SG_BACKTEST_SYMBOLS": "BTCUSDT,ETHUSDT",
            "SG__DAEMON__INTERVAL": "1m",
            "SG_BACKTEST_DAYS": "3",
            "SG__DAEMON__HOLDOUT_DAYS": "1",
            "SG__DAEMON__WARMUP_DAYS": "1",
            "SHADOW_LOOKBACK_DAYS": "1",
            "SG__SEARCH__GENERATIONS": "1",
            "SG_POPULATION_SIZE": "20",
            "SG__SEARCH__ELITES": "4",
            "SG__SEARCH__VARIATION__TIMEFRAMES": "15m",
            "SG__SEARCH__VARIATION__MAX_LOOKBACK_DAYS": "1",
            "SG__REVIEW__BATCH_SIZE": "0",
            # These are the daemon's times, shortened. A session is due by the exchange's clock, which runs faster.
            "SG_GENERATION_INTERVAL": str(max(1, round(3600 / f * SPEED))),
            "SHADOW_TEST_INTERVAL": str(max(1, round(900 / f))),
            "SG__REVIEW__AUDIT_INTERVAL_S": str(max(1, round(3600 / f))),
            "SG__DAEMON__PARK_S": str(max(1, round(300 / f))),
            "SG__DAEMON__RETRY_MAX_MS": str(round(30_000 / f)),
            "SG__DAEMON__RETRY_MIN_MS": str(round(500 / f)),
            "SG__MARKET__TIMEOUT_S": "2",
            "SG__MARKET__RETRIES": "0",
            "SG__MARKET__BREAKER_COOL_OFF_S": "1",
            "SG__MARKET__MAX_WAIT_S": "2",
        }
        self.start(what, [self.args.sg_ai, what], env=env)
        return port

    def prometheus(self, targets):
        f = self.args.factor
        rules = shortened((HERE / "rules.yml").read_text(), f)
        (self.dir / "rules.yml").write_text(rules)
        jobs = "".join(f"      - targets: ['127.0.0.1:{port}']\n        labels: {{role: {role}}}\n"
                       for role, port in targets.items())
        (self.dir / "prometheus.yml").write_text(
            f"global:\n  scrape_interval: {SCRAPE_S:g}s\n  scrape_timeout: {SCRAPE_S:g}s\n  evaluation_interval: {SCRAPE_S:g}s\n"
            "rule_files: [rules.yml]\nscrape_configs:\n  - job_name: sg-ai\n    static_configs:\n" + jobs)
        port = free_port()
        self.prometheus_url = f"http://127.0.0.1:{port}"
        self.start("prometheus", ["prometheus", f"--config.file={self.dir}/prometheus.yml",
                                  f"--storage.tsdb.path={self.dir}/tsdb", f"--web.listen-address=127.0.0.1:{port}"])
        self.wait("Prometheus answers", lambda: get(f"{self.prometheus_url}/-/ready"))

    def firing(self):
        """Names of the alerts that fire now."""
        try:
            answer = json.loads(get(f"{self.prometheus_url}/api/v1/alerts"))
        except (OSError, AttributeError):
            return set()
        return {a["labels"]["alertname"] for a in answer["data"]["alerts"] if a["state"] == "firing"}

    # -- freezing ---------------------------------------------------------------------------------------------------

    def family(self, name):
        """A process and its children: a server of PostgreSQL has one for each connection."""
        parent = self.processes[name].pid
        found = [parent]
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                        found.append(int(entry.name))
                except OSError:
                    pass
        return found

    def signal(self, name, sig):
        for pid in self.family(name):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass

    def freeze(self, what, stop):
        if what == "clock":
            body = json.dumps({"speed": 0 if stop else SPEED}).encode()
            request = urllib.request.Request(f"{self.exchange_url}/sim/clock", body, {"content-type": "application/json"})
            urllib.request.urlopen(request, timeout=5).read()
            return
        name = {"shadow runner": "shadow", "search": "continuous", "database": "postgres"}.get(what, what)
        self.signal(name, signal.SIGSTOP if stop else signal.SIGCONT)

    def end(self):
        for name in reversed(list(self.processes)):
            self.signal(name, signal.SIGCONT)
            self.processes[name].send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        if not self.args.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def shortened(rules, factor):
    """The rules with every time in them divided by the factor."""
    units = {"s": 1, "m": 60, "h": 3600}

    def short(text):
        return f"{max(1, round(int(text[:-1]) * units[text[-1]] / factor * 1000))}ms"

    rules = re.sub(r"for: (\d+[smh])", lambda m: f"for: {short(m[1])}", rules)
    rules = re.sub(r"\[(\d+[smh]):\]", lambda m: f"[{short(m[1])}:{int(SCRAPE_S * 1000)}ms]", rules)
    rules = re.sub(r"offset (\d+[smh])", lambda m: f"offset {short(m[1])}", rules)
    # Limits of ages, in seconds: all of them have three digits or more, and nothing else compared has.
    return re.sub(r"([<>]) (\d{3,})\b", lambda m: f"{m[1]} {int(m[2]) / factor:g}", rules)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=60, help="all times are divided by it (60)")
    parser.add_argument("--sg-ai", default=str(HERE.parent / "target/debug/sg-ai"), help="the program")
    parser.add_argument("--only", help="components to freeze, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else [case[0] for case in CASES]
    stage = Stage(args)
    failed = []
    say(f"in {stage.dir}, times divided by {args.factor:g}")
    try:
        stage.postgres()
        stage.exchange()
        ports = {"continuous": stage.daemon("continuous")}
        stage.wait("the search answers", lambda: get(f"http://127.0.0.1:{ports['continuous']}/health"))
        ports["shadow"] = stage.daemon("shadow")
        stage.wait("paper trading answers", lambda: get(f"http://127.0.0.1:{ports['shadow']}/health"))
        url = f"http://127.0.0.1:{ports['continuous']}/metrics"
        wanted_metrics = ["sg_ai_last_generation_timestamp ", 'timestamp_seconds{runner="shadow"}', "sg_ai_data_age_seconds{"]
        stage.wait("everything has worked once", lambda: all(w in get(url) for w in wanted_metrics), 600)
        stage.prometheus(ports)
        for what, alert, stated_s, beside, period_s in CASES:
            if what not in wanted:
                continue
            stage.wait(f"nothing fires before {what} is frozen", lambda: not stage.firing(), 600)
            # Quiet for a while: an alert that was about to fire is not this component's.
            time.sleep(max(5, 600 / args.factor))
            if stage.firing():
                failed.append(what)
                say(f"FAILED {what}: {stage.firing()} fired while everything ran")
                continue
            limit_s = (stated_s + period_s) / args.factor + 4 * SCRAPE_S + 4
            stage.freeze(what, True)
            began, seen = time.monotonic(), {}
            while alert not in seen and time.monotonic() - began < 2 * limit_s:
                for name in stage.firing():
                    seen.setdefault(name, time.monotonic() - began)
                time.sleep(0.2)
            stage.freeze(what, False)
            others = {n: t for n, t in seen.items() if n != alert}
            wrong = set(others) - beside
            took = seen.get(alert)
            ok = took is not None and took <= limit_s and not wrong
            if not ok:
                failed.append(what)
            fired = f"fired after {took:.1f} s" if took is not None else "DID NOT FIRE"
            say(f"{'ok    ' if ok else 'FAILED'} {what} frozen: {alert} {fired}, allowed {limit_s:.1f} s "
                f"(at full length {stated_s / 60:.0f} min, noticed within {period_s / 60:.0f} min)"
                + (f"; also {', '.join(f'{n} after {t:.1f} s' for n, t in sorted(others.items()))}" if others else "")
                + (f"; WRONG: {', '.join(sorted(wrong))}" if wrong else ""))
    finally:
        stage.end()
    say("every alert fired in time, and no other" if not failed else f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
