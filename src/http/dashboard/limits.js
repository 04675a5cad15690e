// What figures have to be, as people write it: `sharpe > 1, return > 10 %`.

const NAMES = {
  return: "total_return",
  "total return": "total_return",
  sharpe: "sharpe_ratio",
  "sharpe ratio": "sharpe_ratio",
  pf: "profit_factor",
  "profit factor": "profit_factor",
  dd: "max_drawdown",
  "max dd": "max_drawdown",
  drawdown: "max_drawdown",
  "max drawdown": "max_drawdown",
  "win rate": "win_rate",
  trades: "trades",
  e: "log_e",
};

/** As the server reads it, or what is wrong with it. */
export function figureLimits(text) {
  const limits = [];
  for (const part of text.split(",").filter((one) => one.trim())) {
    const read = /^\s*([a-z][a-z_ ]*?)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*$/i.exec(part);
    const name = read && (NAMES[read[1].toLowerCase().replaceAll("_", " ")] ?? null);
    if (!read) return { problem: `"${part.trim()}" is no limit such as sharpe > 1` };
    if (!name)
      return { problem: `"${read[1]}" is no figure; there are return, sharpe, pf, drawdown, win rate, trades and E` };
    let value = Number(read[3]) / (read[4] ? 100 : 1);
    // Evidence is stored as its logarithm.
    if (name === "log_e") {
      if (value <= 0) return { problem: "E is above 0" };
      value = Math.log(value);
    }
    let comparison = read[2];
    // A drawdown of 20 % is stored as -0.2; whoever writes "drawdown < 20 %" wants a smaller one.
    if (name === "max_drawdown" && value > 0) {
      value = -value;
      comparison = comparison.replace(/[<>]/, (sign) => (sign === "<" ? ">" : "<"));
    }
    limits.push(`${name}${comparison}${Number(value.toFixed(6))}`);
  }
  return { text: limits.join(",") };
}
