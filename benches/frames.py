#!/usr/bin/env python3
"""Frame times of the dashboard with 10,000 strategies and 100,000 candles: docs/BENCHMARKS.md, Frames.

    sg-ai simulate-exchange --listen 127.0.0.1:8900 --demo &
    SG__MARKET__SOURCE=http://127.0.0.1:8900 SG__HTTP__CLIENT_POSTS_PER_MINUTE=1000000 \\
        SG__HTTP__MAX_CLIENT_STRATEGIES=20000 sg-ai shadow &
    python3 benches/frames.py http://127.0.0.1:8080 --post 10000

Needs Chromium and the Python package websocket-client. Prints median, 95th percentile and maximum in ms.
"""

import argparse
import json
import re
import subprocess
import tempfile
import time
import urllib.request

import websocket

# Frames for so long, with something done in each; the first is left out.
FRAMES = """
window.frames_ = (act, ms) => new Promise((done) => {
  const took = [];
  let [last, n] = [performance.now(), 0];
  const end = last + ms;
  const step = (now) => {
    took.push(now - last);
    last = now;
    act(n++);
    if (now < end) return requestAnimationFrame(step);
    took.shift();
    took.sort((a, b) => a - b);
    const at = (share) => took[Math.floor(share * (took.length - 1))].toFixed(1);
    done(`${took.length} frames, median ${at(0.5)}, 95 % ${at(0.95)}, longest ${at(1)}`);
  };
  requestAnimationFrame(step);
}); true"""

TYPING = """(async () => {
  const search = document.querySelector('input[name=q]');
  search.focus();
  const text = 'made 00421';
  const told = await frames_((n) => {
    if (n % 12 || n / 12 >= text.length) return;
    search.value = text.slice(0, n / 12 + 1);
    search.dispatchEvent(new Event('input', { bubbles: true }));
  }, 5000);
  const kept = document.activeElement === search && search.value === text;
  search.value = '';
  search.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((done) => setTimeout(done, 1000));
  return `${told}; focus and text ${kept ? 'kept' : 'LOST'}`;
})()"""

SORTING = """(async () => {
  const took = [];
  for (const by of ['name', 'sharpe_ratio', 'number', 'log_e', 'trades']) {
    const before = document.querySelector('table.listed');
    const begun = performance.now();
    document.querySelector(`[data-sort=${by}]`).click();
    while (document.querySelector('table.listed') === before) await new Promise((done) => requestAnimationFrame(done));
    took.push(`${by} ${Math.round(performance.now() - begun)}`);
  }
  return took.join(', ');
})()"""

SCROLLING = "frames_((n) => scrollTo(0, (n * 40) % Math.max(1, document.documentElement.scrollHeight - innerHeight)), 3000)"

CANDLES = """(async () => {
  const { candles } = await import('/assets/candles.js');
  const host = document.createElement('div');
  host.className = 'candles';
  document.querySelector('main').replaceChildren(host);
  let [price, seed] = [100, 1];
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const data = { time_ms: [], open: [], high: [], low: [], close: [], series: [
    { name: 'on the candles', scale: 'price', values: [] }, { name: 'below them', scale: 'Percent', values: [] }] };
  for (let i = 0; i < 100000; i++) {
    const open = price;
    price *= 1 + 0.002 * (random() - 0.5);
    data.time_ms.push(1.7e12 + i * 60000);
    data.open.push(open);
    data.close.push(price);
    data.high.push(Math.max(open, price) * 1.0005);
    data.low.push(Math.min(open, price) * 0.9995);
    data.series[0].values.push(price * 1.001);
    data.series[1].values.push(50 + 40 * Math.sin(i / 50));
  }
  const trades = Array.from({ length: 2000 }, (_, i) => ({ side: 'long', profit: 1, return_fraction: 0.01,
    entry_time: new Date(data.time_ms[i * 50]).toISOString(), exit_time: new Date(data.time_ms[i * 50 + 20]).toISOString() }));
  const begun = performance.now();
  await candles(host, data, trades);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const drawn = Math.round(performance.now() - begun);
  const scale = host.chart.timeScale();
  const show = (from, to) => scale.setVisibleLogicalRange({ from, to });
  return {
    'candles: drawn after ms': drawn,
    'candles: moved, 300 in view': await frames_((n) => show(50000 + n * 3, 50300 + n * 3), 3000),
    'candles: zoomed from 300 to all': await frames_((n) => show(Math.max(0, 99999 - 300 * 1.05 ** (n % 118)), 99999), 4000),
    'candles: moved, 99,000 in view': await frames_((n) => show((n % 100) * 10, 99000 + (n % 100) * 10), 3000),
  };
})()"""


class Page:
    def __init__(self):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*"]
        home = f"--user-data-dir={tempfile.mkdtemp()}"
        self.browser = subprocess.Popen(["chromium", *arguments, home], stderr=subprocess.PIPE, text=True)
        address = next(m[1] for line in self.browser.stderr if (m := re.search(r"listening on (ws://\S+)", line)))
        self.socket, self.number, self.session = websocket.create_connection(address, timeout=120), 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while (told := json.loads(self.socket.recv())).get("id") != self.number:
            pass
        return told["result"]

    def evaluate(self, script):
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"])
        return told["result"].get("value")

    def until(self, script):
        for _ in range(300):
            if self.evaluate(script) is True:
                return
            time.sleep(0.1)
        raise RuntimeError(f"waited in vain until {script}")


def post(base, k):
    """The k-th of many strategies that all differ."""
    rule = f"RSI({2 + k % 98}) < {5 + (k // 98) % 90 + 0.01 * (k // 8820):g}"
    body = {"name": f"made {k:05}", "entry_rules": [rule], "risk_management": {"stop_loss_pct": 0.02}}
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{base}/strategies", json.dumps(body).encode(), headers)).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("--post", type=int, default=0, help="strategies to post first")
    args = parser.parse_args()
    for k in range(args.post):
        post(args.base, k)
    page = Page()
    try:
        page.call("Page.navigate", url=f"{args.base}/#/strategies")
        page.until("document.querySelector('table.listed') !== null")
        page.evaluate(FRAMES)
        print("list:", page.evaluate("document.querySelector('.buttons [role=status]').textContent"))
        for name, script in [("typing", TYPING), ("sorting, ms", SORTING), ("scrolling", SCROLLING)]:
            print(f"list: {name}:", page.evaluate(script))
        for name, told in page.evaluate(CANDLES).items():
            print(f"{name}: {told}")
    finally:
        page.browser.kill()
        page.browser.wait()


if __name__ == "__main__":
    main()
