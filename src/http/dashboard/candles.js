// Candles with entries and exits, and the series that the rules look at.

import { address, day, h, number, percent, price } from "./base.js";
import { color, keep } from "./charts.js";

let library = null;
function candleLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = h("script", { src: address("/assets/lightweight-charts.js") });
    script.onload = () => resolve(window.LightweightCharts);
    script.onerror = () => {
      library = null;
      reject(new Error("the chart library did not load"));
    };
    document.head.append(script);
  });
  return library;
}

// Pixels that an entry or exit takes at least, and one with its return in words.
const MARKER_PX = 2;
const WORDED_PX = 11;
const COLORS = ["holdout", "shadow", "accent", "backtest", "live", "loss"];
/** Scales that have a pane of their own below the candles at most: with more, none could be read. */
const PANES = 3;

/** Series with their colours and panes; those of prices lie on the candles. */
function placed(series) {
  const scales = [...new Set(series.map((s) => s.scale).filter((scale) => scale !== "price"))];
  return series.map((s, i) => ({
    ...s,
    color: COLORS[i % COLORS.length],
    pane: s.scale === "price" ? 0 : scales.indexOf(s.scale) + 1,
    is: s.scale === "price" || scales.indexOf(s.scale) < PANES,
  }));
}

/** Draws into `host`; zooms and pans by wheel, drag and touch. What is drawn, in words, and boxes that choose its series. */
export async function candles(host, data, trades) {
  const lib = await candleLibrary();
  const rows = data.time_ms.map((t, i) => ({
    time: t / 1000,
    open: data.open[i],
    high: data.high[i],
    low: data.low[i],
    close: data.close[i],
  }));
  const all = placed(data.series ?? []);
  const length = rows.length > 1 ? rows[1].time - rows[0].time : 60;
  const markers = [];
  const at = (text) => Math.floor(new Date(text).getTime() / 1000 / length) * length;
  for (const t of trades) {
    const long = t.side === "long";
    markers.push({
      time: at(t.entry_time),
      position: long ? "belowBar" : "aboveBar",
      shape: long ? "arrowUp" : "arrowDown",
      color: "accent",
      text: "",
    });
    markers.push({
      time: at(t.exit_time),
      position: long ? "aboveBar" : "belowBar",
      shape: "circle",
      color: t.profit > 0 ? "gain" : "loss",
      text: percent(t.return_fraction),
    });
  }
  markers.sort((a, b) => a.time - b.time);
  const before = (time) => {
    let [low, high] = [0, markers.length];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (markers[mid].time < time) low = mid + 1;
      else high = mid;
    }
    return low;
  };
  let range = { from: Math.max(0, rows.length - 300), to: rows.length - 1 };
  const kept = keep(host, () => {
    const chart = lib.createChart(host, {
      autoSize: true,
      layout: {
        background: { color: "transparent" },
        textColor: color("soft"),
        attributionLogo: false,
        fontFamily: "system-ui, sans-serif",
        panes: { separatorColor: color("rule") },
      },
      grid: { vertLines: { color: color("rule") }, horzLines: { color: color("rule") } },
      // Candles narrower than a pixel are drawn as one: a hundred thousand at once would stutter.
      timeScale: {
        timeVisible: true,
        borderColor: color("rule"),
        minBarSpacing: 0.001,
        enableConflation: true,
        precomputeConflationOnInit: true,
        fixLeftEdge: true,
        fixRightEdge: true,
      },
      rightPriceScale: { borderColor: color("rule") },
      localization: { priceFormatter: price },
    });
    const series = chart.addSeries(lib.CandlestickSeries, {
      upColor: color("gain"),
      downColor: color("loss"),
      wickUpColor: color("gain"),
      wickDownColor: color("loss"),
      borderVisible: false,
    });
    series.setData(rows);
    const panes = [0, ...new Set(all.filter((s) => s.is && s.pane).map((s) => s.pane))];
    for (const s of all.filter((one) => one.is)) {
      const options = {
        color: color(s.color),
        lineWidth: 1,
        priceLineVisible: false,
        lastValueVisible: false,
        crosshairMarkerVisible: false,
      };
      const points = rows.map(({ time }, i) => (s.values[i] === null ? { time } : { time, value: s.values[i] }));
      chart.addSeries(lib.LineSeries, options, panes.indexOf(s.pane)).setData(points);
    }
    chart.panes().forEach((pane, i) => {
      pane.setStretchFactor(i === 0 ? 3 : 1);
    });
    const shown = lib.createSeriesMarkers(series, []);
    let [waiting, last] = [false, null];
    // Only the trades in view, with words where there is room for them; none where they would hide everything.
    const mark = () => {
      waiting = false;
      const seen = chart.timeScale().getVisibleLogicalRange();
      if (!seen) return;
      range = seen;
      const row = (i) => rows[Math.min(rows.length - 1, Math.max(0, Math.round(i)))].time;
      const [from, to] = [before(row(seen.from - 1)), before(row(seen.to + 1) + 1)];
      const many = (to - from) * MARKER_PX > host.clientWidth;
      const key = many ? "many" : `${from} ${to}`;
      if (key === last) return;
      last = key;
      const words = (to - from) * WORDED_PX <= host.clientWidth;
      shown.setMarkers(
        many ? [] : markers.slice(from, to).map((m) => ({ ...m, color: color(m.color), text: words ? m.text : "" })),
      );
      host.dataset.hidden = many ? "Zoom in to see the trades." : "";
    };
    chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
      if (!waiting) {
        waiting = true;
        requestAnimationFrame(mark);
      }
    });
    // The end first, at a width at which candles can be told apart; zooming out shows all.
    chart.timeScale().setVisibleLogicalRange(range);
    mark();
    host.chart = chart;
    return { destroy: () => chart.remove() };
  });
  const box = (s) =>
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        checked: s.is,
        onchange: (event) => {
          s.is = event.target.checked;
          kept.redraw();
        },
      }),
      h("span", { class: `swatch ${s.color}` }),
      s.name,
    );
  return {
    text: `${number(rows.length)} candles, ${day(data.time_ms[0])} to ${day(data.time_ms[rows.length - 1])}`,
    boxes: all.map(box),
  };
}
