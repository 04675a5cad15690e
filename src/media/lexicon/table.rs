//! The phrases of the lexicon and what they mean. docs/MEDIA.md shows the same table; a test compares them.

use super::{
    LexiconEntry,
    Meaning::{self, Bearish, Bullish, Clause, Either, Filter, Long, RewardPerRisk, Short, Timeframe},
};

const fn row(topic: &'static str, phrases: &'static [&'static str], meaning: Meaning) -> LexiconEntry {
    let numbers = (f64::NEG_INFINITY, f64::INFINITY);
    LexiconEntry { topic, phrases, meaning, numbers, vague: false, known_to_clients: false, stands_for: "" }
}

impl LexiconEntry {
    const fn vague(mut self) -> Self {
        self.vague = true;
        self
    }

    const fn known(mut self) -> Self {
        self.known_to_clients = true;
        self.vague = true;
        self
    }

    const fn within(mut self, least: f64, most: f64) -> Self {
        self.numbers = (least, most);
        self
    }

    const fn as_(mut self, stands_for: &'static str) -> Self {
        self.stands_for = stands_for;
        self
    }
}

/// The lexicon. Where phrases of two rows fit, the longer one counts; of the same length, the row that stands first.
pub const LEXICON: &[LexiconEntry] = &[
    // Oscillators.
    row("rsi", &["rsi", "relative strength index"], Either("rsi(14) < 30", "rsi(14) > 70")).known(),
    row(
        "rsi",
        &["rsi below {n}", "rsi under {n}", "rsi less than {n}", "rsi drops below {n}", "rsi falls below {n}", "rsi dips below {n}"],
        Bullish("rsi(14) < {n}"),
    )
    .within(0.0, 50.0),
    row(
        "rsi",
        &["rsi below {n}", "rsi under {n}", "rsi drops below {n}", "rsi falls below {n}"],
        Bearish("rsi(14) crosses below {n}"),
    )
    .within(50.01, 100.0),
    row("rsi", &["rsi above {n}", "rsi over {n}", "rsi greater than {n}"], Bullish("rsi(14) > {n}")).within(0.0, 59.99),
    row("rsi", &["rsi above {n}", "rsi over {n}", "rsi greater than {n}"], Bearish("rsi(14) > {n}")).within(60.0, 100.0),
    row("rsi", &["rsi crosses above {n}", "rsi crosses back above {n}"], Bullish("rsi(14) crosses above {n}")),
    row("rsi", &["rsi crosses below {n}", "rsi crosses back below {n}"], Bearish("rsi(14) crosses below {n}")),
    row("rsi", &["{n} period rsi", "rsi {n}"], Either("rsi({n}) < 30", "rsi({n}) > 70")),
    row("rsi", &["oversold"], Bullish("rsi(14) < 30")),
    row("rsi", &["overbought"], Bearish("rsi(14) > 70")),
    row("divergence", &["bullish divergence"], Bullish("close < swing_support(5) and rsi(14) > 30"))
        .as_("two lows cannot be compared: a close below the last swing low while RSI is not oversold"),
    row("divergence", &["bearish divergence"], Bearish("close > swing_resistance(5) and rsi(14) < 70"))
        .as_("two highs cannot be compared: a close above the last swing high while RSI is not overbought"),
    row("macd", &["macd"], Either("macd_histogram(12, 26, 9) > 0", "macd_histogram(12, 26, 9) < 0")).known(),
    row(
        "macd",
        &["macd crossover", "macd cross", "macd bullish crossover", "macd crosses above signal"],
        Bullish("macd(12, 26) crosses above macd_signal(12, 26, 9)"),
    ),
    row(
        "macd",
        &["macd bearish crossover", "macd crosses below signal", "macd cross down"],
        Bearish("macd(12, 26) crosses below macd_signal(12, 26, 9)"),
    ),
    row("macd", &["macd above zero"], Bullish("macd(12, 26) > 0")),
    row("macd", &["macd below zero"], Bearish("macd(12, 26) < 0")),
    row(
        "macd",
        &["macd histogram turns positive", "macd histogram crosses above zero"],
        Bullish("macd_histogram(12, 26, 9) crosses above 0"),
    ),
    row(
        "macd",
        &["macd histogram turns negative", "macd histogram crosses below zero"],
        Bearish("macd_histogram(12, 26, 9) crosses below 0"),
    ),
    row("stochastic", &["stochastic", "stochastic oscillator"], Either("stochastic_k(14, 3) < 20", "stochastic_k(14, 3) > 80"))
        .vague(),
    row(
        "stochastic",
        &["stochastic crossover", "stochastic cross"],
        Either(
            "stochastic_k(14, 3) crosses above stochastic_d(14, 3, 3)",
            "stochastic_k(14, 3) crosses below stochastic_d(14, 3, 3)",
        ),
    ),
    row("cci", &["cci", "commodity channel index"], Either("cci(20) < -100", "cci(20) > 100")),
    row("mfi", &["mfi", "money flow index"], Either("mfi(14) < 20", "mfi(14) > 80")),
    row("williams", &["williams percent r", "williams r"], Either("williams_r(14) < -80", "williams_r(14) > -20")),
    row("momentum", &["momentum", "rate of change"], Either("roc(10) > 0", "roc(10) < 0")),
    // Trend.
    row("adx", &["strong trend", "adx"], Filter("adx(14) > 25")).vague(),
    row("adx", &["adx above {n}", "adx over {n}"], Filter("adx(14) > {n}")),
    row("adx", &["adx below {n}", "adx under {n}"], Filter("adx(14) < {n}")),
    row("adx", &["weak trend", "low adx"], Filter("adx(14) < 20")),
    row(
        "di",
        &["di crossover", "di cross", "directional movement"],
        Either("plus_di(14) crosses above minus_di(14)", "plus_di(14) crosses below minus_di(14)"),
    ),
    row("cross", &["golden cross", "golden crossover"], Bullish("sma(50) crosses above sma(200)")),
    row("cross", &["death cross", "death crossover"], Bearish("sma(50) crosses below sma(200)")),
    row(
        "cross",
        &["{n} {m} ema cross", "{n} and {m} ema cross", "{n} {m} ema crossover", "{n} and {m} ema crossover", "{n} {m} cross", "{n} and {m} cross"],
        Either("ema({n}) crosses above ema({m})", "ema({n}) crosses below ema({m})"),
    ),
    row(
        "cross",
        &["{n} {m} sma cross", "{n} and {m} sma cross", "{n} {m} sma crossover", "{n} and {m} moving average cross", "{n} and {m} day moving average cross"],
        Either("sma({n}) crosses above sma({m})", "sma({n}) crosses below sma({m})"),
    ),
    row(
        "cross",
        &["moving average crossover", "moving average cross", "ma crossover", "ema crossover", "ema cross"],
        Either("ema(12) crosses above ema(26)", "ema(12) crosses below ema(26)"),
    ),
    row("ema", &["above {n} ema", "over {n} ema", "above {n} period ema", "above {n} day ema", "above {n} exponential moving average"], Bullish("close > ema({n})")),
    row("ema", &["below {n} ema", "under {n} ema", "below {n} period ema", "below {n} day ema", "below {n} exponential moving average"], Bearish("close < ema({n})")),
    row("sma", &["above {n} sma", "above {n} moving average", "above {n} day moving average", "above {n} period moving average", "above {n} simple moving average"], Bullish("close > sma({n})")),
    row("sma", &["below {n} sma", "below {n} moving average", "below {n} day moving average", "below {n} period moving average", "below {n} simple moving average"], Bearish("close < sma({n})")),
    row("ema", &["{n} ema", "{n} period ema", "{n} day ema", "{n} exponential moving average"], Either("close > ema({n})", "close < ema({n})")).vague(),
    row("sma", &["{n} sma", "{n} moving average", "{n} day moving average", "{n} period moving average", "{n} simple moving average"], Either("close > sma({n})", "close < sma({n})")).vague(),
    row("ema", &["ema", "exponential moving average"], Either("close > ema(20)", "close < ema(20)")).vague(),
    row("sma", &["moving average", "sma", "simple moving average"], Either("close > sma(50)", "close < sma(50)")).vague(),
    row("hma", &["hull moving average", "hma"], Either("close > hma(20)", "close < hma(20)")),
    row("vwap", &["vwap", "volume weighted average price"], Either("close > session_vwap", "close < session_vwap")).vague(),
    row("vwap", &["above vwap"], Bullish("close > session_vwap")),
    row("vwap", &["below vwap"], Bearish("close < session_vwap")),
    row("vwap", &["reclaim vwap", "reclaims vwap", "vwap reclaim"], Bullish("close crosses above session_vwap")),
    row("vwap", &["loses vwap", "vwap rejection"], Bearish("close crosses below session_vwap")),
    row("supertrend", &["supertrend", "super trend"], Either("supertrend_direction(10, 3) > 0", "supertrend_direction(10, 3) < 0")).vague(),
    row("supertrend", &["supertrend turns green", "supertrend buy signal", "supertrend flips up"], Bullish("supertrend_direction(10, 3) crosses above 0")),
    row("supertrend", &["supertrend turns red", "supertrend sell signal", "supertrend flips down"], Bearish("supertrend_direction(10, 3) crosses below 0")),
    row("sar", &["parabolic sar", "psar"], Either("close > parabolic_sar(0.02, 0.2)", "close < parabolic_sar(0.02, 0.2)")),
    row(
        "ichimoku",
        &["ichimoku", "ichimoku cloud"],
        Either(
            "close > ichimoku_span_a(9, 26, 26) and close > ichimoku_span_b(52, 26)",
            "close < ichimoku_span_a(9, 26, 26) and close < ichimoku_span_b(52, 26)",
        ),
    )
    .vague(),
    row("ichimoku", &["above cloud", "above kumo"], Bullish("close > ichimoku_span_a(9, 26, 26) and close > ichimoku_span_b(52, 26)")),
    row("ichimoku", &["below cloud", "below kumo"], Bearish("close < ichimoku_span_a(9, 26, 26) and close < ichimoku_span_b(52, 26)")),
    row("ichimoku", &["tk cross", "tenkan kijun cross", "tenkan crosses kijun"], Either("ichimoku_conversion(9) crosses above ichimoku_base(26)", "ichimoku_conversion(9) crosses below ichimoku_base(26)")),
    row("trend", &["uptrend", "up trend", "bull market"], Bullish("ema(50) > ema(200)")),
    row("trend", &["downtrend", "down trend", "bear market"], Bearish("ema(50) < ema(200)")),
    row("regression", &["linear regression", "regression slope"], Either("linreg_slope(14) > 0", "linreg_slope(14) < 0")),
    row("regime", &["trend following", "trending market"], Clause("regime trending")),
    row("regime", &["ranging market", "range bound", "sideways market"], Clause("regime ranging")),
    row("regime", &["choppy market"], Clause("regime choppy")),
    // Volatility and volume.
    row("bollinger", &["bollinger band", "bollinger"], Either("close < bollinger_lower(20, 2)", "close > bollinger_upper(20, 2)")).vague(),
    row("bollinger", &["lower bollinger band", "lower band"], Bullish("close < bollinger_lower(20, 2)")),
    row("bollinger", &["upper bollinger band", "upper band"], Bearish("close > bollinger_upper(20, 2)")),
    row("bollinger", &["bollinger breakout", "bollinger band breakout"], Either("close crosses above bollinger_upper(20, 2)", "close crosses below bollinger_lower(20, 2)")),
    row("squeeze", &["squeeze", "bollinger squeeze", "volatility squeeze"], Filter("bollinger_upper(20, 2) < keltner_upper(20, 10, 1.5) and bollinger_lower(20, 2) > keltner_lower(20, 10, 1.5)"))
        .as_("Bollinger bands inside the Keltner channel"),
    row("keltner", &["keltner channel", "keltner"], Either("close > keltner_upper(20, 10, 2)", "close < keltner_lower(20, 10, 2)")),
    row("donchian", &["donchian channel", "donchian", "turtle breakout"], Either("close > donchian_upper(20)", "close < donchian_lower(20)")),
    row("donchian", &["{n} day high", "{n} bar high", "{n} candle high", "{n} day breakout"], Bullish("close > donchian_upper({n})")),
    row("donchian", &["{n} day low", "{n} bar low", "{n} candle low"], Bearish("close < donchian_lower({n})")),
    row("volatility", &["high volatility"], Filter("volatility_percentile(24, 200) > 0.8")),
    row("volatility", &["low volatility"], Filter("volatility_percentile(24, 200) < 0.2")),
    row("mean reversion", &["mean reversion"], Either("bollinger_percent_b(20, 2) < 0", "bollinger_percent_b(20, 2) > 1")),
    row("volume", &["volume spike", "high volume", "strong volume", "volume surge", "volume confirmation"], Filter("volume_zscore(48) > 2")),
    row("volume", &["above average volume", "increasing volume"], Filter("volume > volume_sma(20)")),
    row("volume", &["low volume"], Filter("volume_zscore(48) < 0")),
    row("obv", &["obv", "on balance volume"], Either("roc(10) > 0 and volume_zscore(48) > 0", "roc(10) < 0 and volume_zscore(48) > 0"))
        .as_("a slope of a volume is no series: a move with more volume than usual"),
    // What price does.
    row("breakout", &["breakout", "break out"], Either("close > swing_resistance(5)", "close < swing_support(5)")).known(),
    row("breakout", &["breaks resistance", "break above resistance", "breaks above resistance", "resistance breakout", "break of resistance"], Bullish("close crosses above swing_resistance(5)")),
    row("breakout", &["breakdown", "breaks support", "break below support", "breaks below support", "break of support"], Bearish("close crosses below swing_support(5)")),
    row("structure", &["break of structure", "bos", "market structure shift", "change of character", "choch"], Either("close crosses above swing_resistance(5)", "close crosses below swing_support(5)"))
        .as_("structure is the last confirmed swing high and low"),
    row("bounce", &["bounce off support", "bounces off support", "support bounce", "bounce from support", "support holds"], Bullish("low < swing_support(5) and close > swing_support(5)")),
    row("rejection", &["rejection at resistance", "resistance rejection", "rejected at resistance", "resistance holds"], Bearish("high > swing_resistance(5) and close < swing_resistance(5)")),
    row("structure", &["higher high"], Bullish("close > swing_resistance(5)")),
    row("structure", &["higher low"], Bullish("low > swing_support(5)")),
    row("structure", &["lower high"], Bearish("high < swing_resistance(5)")),
    row("structure", &["lower low"], Bearish("close < swing_support(5)")),
    row("order block", &["order block"], Either("low < bullish_order_block_high(20, 1.5) and close > bullish_order_block_low(20, 1.5)", "high > bearish_order_block_low(20, 1.5) and close < bearish_order_block_high(20, 1.5)")).vague(),
    row("order block", &["bullish order block", "demand zone"], Bullish("low < bullish_order_block_high(20, 1.5) and close > bullish_order_block_low(20, 1.5)")),
    row("order block", &["bearish order block", "supply zone"], Bearish("high > bearish_order_block_low(20, 1.5) and close < bearish_order_block_high(20, 1.5)")),
    row("gap", &["fair value gap", "fvg", "imbalance"], Either("roc(3) > 1 and volume_zscore(48) > 1", "roc(3) < -1 and volume_zscore(48) > 1"))
        .as_("three candles cannot be compared: the move that leaves a gap, 1 % in three candles on volume"),
    row("spring", &["liquidity sweep", "liquidity grab", "stop hunt", "spring", "wyckoff accumulation", "false breakdown"], Bullish("wyckoff_spring(50) > 0")),
    row("upthrust", &["upthrust", "wyckoff distribution", "false breakout", "fakeout"], Bearish("wyckoff_upthrust(50) > 0")),
    row("pattern", &["double bottom", "inverse head and shoulders", "cup and handle"], Bullish("close crosses above swing_resistance(10)"))
        .as_("shapes are no series: the break of the neckline, the last swing high"),
    row("pattern", &["double top", "head and shoulders"], Bearish("close crosses below swing_support(10)"))
        .as_("shapes are no series: the break of the neckline, the last swing low"),
    row("pattern", &["bull flag", "ascending triangle", "bullish pennant"], Bullish("close > donchian_upper(20)"))
        .as_("shapes are no series: the break of the range of 20 candles"),
    row("pattern", &["bear flag", "descending triangle", "bearish pennant"], Bearish("close < donchian_lower(20)"))
        .as_("shapes are no series: the break of the range of 20 candles"),
    row("trendline", &["trendline break", "trend line break"], Either("linreg_slope(14) crosses above 0", "linreg_slope(14) crosses below 0"))
        .as_("lines that somebody draws are no series: the slope of the regression turns"),
    row("dip", &["pullback", "buy the dip"], Bullish("close > ema(200) and rsi(14) < 40")),
    row("rip", &["sell the rip", "fade the rally"], Bearish("close < ema(200) and rsi(14) > 60")),
    row("candle", &["hammer", "pin bar", "bullish engulfing", "morning star"], Bullish("close > open and low < donchian_lower(20)"))
        .as_("candles before this one cannot be compared: it made a new low of 20 candles and closed green"),
    row("candle", &["shooting star", "bearish engulfing", "evening star"], Bearish("close < open and high > donchian_upper(20)"))
        .as_("candles before this one cannot be compared: it made a new high of 20 candles and closed red"),
    row("candle", &["green candle", "bullish candle"], Bullish("close > open")),
    row("candle", &["red candle", "bearish candle"], Bearish("close < open")),
    row("fibonacci", &["fibonacci retracement", "fibonacci", "golden pocket"], Either("close < donchian_middle(50) and close > ema(200)", "close > donchian_middle(50) and close < ema(200)"))
        .as_("levels between two swings are no series: half of the range of 50 candles is given back, in the trend"),
    // When.
    row("session", &["london session", "london open"], Filter("hour_of_day > 7 and hour_of_day < 17")),
    row("session", &["new york session", "new york open"], Filter("hour_of_day > 12 and hour_of_day < 22")),
    row("session", &["asian session", "asia session", "tokyo session"], Filter("hour_of_day < 9")),
    row("days", &["weekend"], Filter("day_of_week > 4")),
    row("days", &["weekdays"], Filter("day_of_week < 5")),
    row("timeframe", &["{n} minute chart", "{n} minute time frame", "{n} minute timeframe", "{n} minute candle", "{n} min chart", "{n} m chart"], Timeframe("{n}m")),
    row("timeframe", &["{n} hour chart", "{n} hour time frame", "{n} hour timeframe", "{n} hour candle", "{n} h chart", "{n} h"], Timeframe("{n}h")),
    row("timeframe", &["hourly chart", "hourly timeframe"], Timeframe("1h")),
    row("timeframe", &["daily chart", "daily timeframe", "daily candle"], Timeframe("1d")),
    row("timeframe", &["{n} day chart", "{n} day candle"], Timeframe("{n}d")),
    row("timeframe", &["weekly chart", "weekly timeframe", "weekly candle"], Timeframe("1w")),
    row("timeframe", &["monthly chart", "monthly timeframe"], Timeframe("1M")),
    // Risk.
    row("stop", &["stop loss"], Clause("stop 2%")).known(),
    row("stop", &["{n} percent stop", "{n} percent stop loss", "stop loss {n} percent", "stop {n} percent", "stop loss to {n} percent"], Clause("stop {n}%")),
    row("stop", &["{n} atr stop", "{n} atr stop loss", "{n} times atr stop", "stop loss {n} atr", "stop {n} atr", "stop loss {n} times atr"], Clause("stop {n} atr(14)")),
    row("target", &["take profit", "profit target"], Clause("target 6%")).known(),
    row("target", &["{n} percent target", "{n} percent take profit", "{n} percent profit target", "take profit {n} percent", "target {n} percent", "profit target {n} percent", "take profit to {n} percent"], Clause("target {n}%")),
    row("target", &["{n} atr target", "{n} atr take profit", "take profit {n} atr", "target {n} atr"], Clause("target {n} atr(14)")),
    row("target", &["risk reward {n} to {m}", "risk to reward {n} to {m}", "risk reward ratio {n} to {m}", "{n} to {m} risk reward", "{n} to {m} risk to reward", "{n} to {m} reward to risk"], RewardPerRisk),
    row("trail", &["trailing stop", "trail the stop", "trailing stop loss"], Clause("trail 2%")).vague(),
    row("trail", &["{n} percent trailing stop", "trailing stop {n} percent", "trail {n} percent"], Clause("trail {n}%")),
    row("trail", &["{n} atr trailing stop", "trailing stop {n} atr", "trail {n} atr"], Clause("trail {n} atr(14)")),
    row("break-even", &["break even", "breakeven"], Clause("break-even 1%")).vague(),
    row("break-even", &["break even {n} percent", "break even after {n} percent", "breakeven after {n} percent"], Clause("break-even {n}%")),
    row("partial", &["take half off at {n} percent", "partial profit {n} percent", "scale out at {n} percent"], Clause("partial 50% at {n}%")),
    row("time-exit", &["exit after {n} candles", "exit after {n} bars", "time stop {n} bars", "close after {n} candles"], Clause("time-exit {n}")),
    row("size", &["risk {n} percent", "{n} percent risk", "{n} percent per trade", "risk {n} percent per trade"], Clause("risk {n}%")),
    row("size", &["position size {n} percent", "{n} percent position", "{n} percent of capital", "{n} percent of account"], Clause("size {n}%")),
    row("leverage", &["{n} x leverage", "{n} times leverage", "leverage {n}"], Clause("leverage {n}")),
    row("recovery", &["martingale", "double down"], Clause("recovery 2x up to 3")),
    row("confidence", &["confluence"], Clause("confidence 0.6")).as_("most of the conditions of an entry, 60 %, are enough"),
    // Which way.
    row("side", &["go long", "going long", "enter long", "long entry", "long position", "long setup", "long trade", "buy signal", "buy entry"], Long),
    row("side", &["go short", "going short", "enter short", "short entry", "short position", "short setup", "short trade", "short signal", "sell short", "short selling"], Short),
];
