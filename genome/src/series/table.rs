//! The table of indicators: names, parameters, scales. The enum and the table have one order.

use super::{ConstantRange, ParamSpec, Scale, SeriesSpec};

const fn param(name: &'static str, min: f64, max: f64, step: f64, default: f64) -> ParamSpec {
    ParamSpec { name, min, max, step, default }
}

const fn constants(min: f64, max: f64, step: f64) -> Option<ConstantRange> {
    Some(ConstantRange { min, max, step })
}

/// Every indicator of the language. What each computes is documented where the engine computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum IndicatorKind {
    /// Simple moving average of closes.
    Sma,
    /// Exponential moving average of closes.
    Ema,
    /// Linearly weighted moving average of closes.
    Wma,
    /// Hull moving average of closes.
    Hma,
    /// Volume-weighted average of the typical price over a rolling window.
    Vwap,
    /// Volume-weighted average of the typical price since 00:00 UTC.
    SessionVwap,
    /// Wilder's relative strength index, 0 to 100.
    Rsi,
    /// MACD line: fast EMA less slow EMA.
    Macd,
    /// MACD signal line: EMA of the MACD line.
    MacdSignal,
    /// MACD line less its signal line.
    MacdHistogram,
    /// Upper Bollinger band (population deviation).
    BollingerUpper,
    /// Middle Bollinger band.
    BollingerMiddle,
    /// Lower Bollinger band (population deviation).
    BollingerLower,
    /// (upper - lower) / middle.
    BollingerWidth,
    /// (close - lower) / (upper - lower).
    BollingerPercentB,
    /// Wilder's average true range, in price units.
    Atr,
    /// ATR in percent of the close.
    Natr,
    /// Wilder's average directional index.
    Adx,
    /// Wilder's positive directional indicator.
    PlusDi,
    /// Wilder's negative directional indicator.
    MinusDi,
    /// Slow stochastic %K: SMA of the fast %K.
    StochasticK,
    /// Slow stochastic %D: SMA of %K.
    StochasticD,
    /// Commodity channel index.
    Cci,
    /// Money flow index.
    Mfi,
    /// On-balance volume since the first candle of the window.
    Obv,
    /// Williams %R, -100 to 0.
    WilliamsR,
    /// Rate of change of the close, in percent.
    Roc,
    /// Highest high of the candles before this one.
    DonchianUpper,
    /// Middle of the Donchian channel.
    DonchianMiddle,
    /// Lowest low of the candles before this one.
    DonchianLower,
    /// EMA plus a multiple of ATR.
    KeltnerUpper,
    /// EMA in the middle of the Keltner channel.
    KeltnerMiddle,
    /// EMA less a multiple of ATR.
    KeltnerLower,
    /// SuperTrend line.
    Supertrend,
    /// 1 while SuperTrend is up, -1 while it is down.
    SupertrendDirection,
    /// Middle of the high-low range of the last candles (tenkan-sen).
    IchimokuConversion,
    /// Middle of the high-low range of the last candles (kijun-sen).
    IchimokuBase,
    /// Leading span A as it stands over this candle: computed `displacement` candles ago.
    IchimokuSpanA,
    /// Leading span B as it stands over this candle: computed `displacement` candles ago.
    IchimokuSpanB,
    /// The close that the lagging span meets: `close > ichimoku_lagging(26)` says that it is above price.
    IchimokuLagging,
    /// Last swing high confirmed by `strength` lower highs on each side.
    SwingResistance,
    /// Last swing low confirmed by `strength` higher lows on each side.
    SwingSupport,
    /// Top of the last bullish order block.
    BullishOrderBlockHigh,
    /// Bottom of the last bullish order block.
    BullishOrderBlockLow,
    /// Top of the last bearish order block.
    BearishOrderBlockHigh,
    /// Bottom of the last bearish order block.
    BearishOrderBlockLow,
    /// 1 on a spring (a false break below the range, on volume), else 0.
    WyckoffSpring,
    /// 1 on an upthrust (a false break above the range, on volume), else 0.
    WyckoffUpthrust,
    /// Wilder's parabolic stop and reverse.
    ParabolicSar,
    /// Slope of the least-squares line through closes, price a candle.
    LinregSlope,
    /// Population standard deviation of closes.
    StandardDeviation,
    /// Root mean square of log returns, a candle.
    RealizedVolatility,
    /// Trailing mid-rank of realised volatility, 0 to 1.
    VolatilityPercentile,
    /// Standard score of the volume in its window.
    VolumeZscore,
    /// Simple moving average of the volume.
    VolumeSma,
    /// Choppiness index, 0 to 100.
    Choppiness,
    /// 1 trending, 0 ranging, -1 choppy.
    Regime,
    /// Hour of the candle close, UTC, 0 to 23.
    HourOfDay,
    /// Weekday of the candle close, UTC, Monday 0 to Sunday 6.
    DayOfWeek,
    /// Mean of |close / close before - 1| / quote volume; undefined where a quote volume in it is 0.
    Amihud,
    /// Last funding rate known, a fraction of the notional.
    Funding,
    /// Mean of the funding rates known in the last days.
    FundingMean,
    /// Sum of the funding rates known in the last days.
    FundingSum,
    /// Close of the last premium index candle known, a fraction of the index price.
    Premium,
    /// Mean of the closes of the premium index candles known in the last days.
    PremiumMean,
    /// Open interest in coins.
    OpenInterest,
    /// Open interest in money.
    OpenInterestValue,
    /// Long accounts over short accounts.
    LongShortRatio,
    /// Long positions over short positions of the top traders.
    TopLongShortRatio,
    /// Bought over sold volume of takers.
    TakerLongShortRatio,
}

/// How many of them, from the first, the search makes rules of: the others are for people's own strategies.
pub(super) const BRED: usize = 59;

#[rustfmt::skip]
pub(super) const SPECS: [SeriesSpec; 70] = [
    SeriesSpec { kind: IndicatorKind::Sma, name: "sma", aliases: &["ma", "simple_moving_average"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "simple moving average of closes" },
    SeriesSpec { kind: IndicatorKind::Ema, name: "ema", aliases: &["exponential_moving_average"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "exponential moving average of closes" },
    SeriesSpec { kind: IndicatorKind::Wma, name: "wma", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "linearly weighted moving average of closes" },
    SeriesSpec { kind: IndicatorKind::Hma, name: "hma", aliases: &[], params: &[param("period", 4.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "Hull moving average of closes" },
    SeriesSpec { kind: IndicatorKind::Vwap, name: "vwap", aliases: &["rolling_vwap"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "volume-weighted average of the typical price over a rolling window" },
    SeriesSpec { kind: IndicatorKind::SessionVwap, name: "session_vwap", aliases: &[], params: &[], scale: Scale::Price, constants: None, doc: "volume-weighted average of the typical price since 00:00 UTC" },
    SeriesSpec { kind: IndicatorKind::Rsi, name: "rsi", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(0.0, 100.0, 1.0), doc: "Wilder's relative strength index, 0 to 100" },
    SeriesSpec { kind: IndicatorKind::Macd, name: "macd", aliases: &["macd_line"], params: &[param("fast", 2.0, 200.0, 1.0, 12.0), param("slow", 3.0, 400.0, 1.0, 26.0)], scale: Scale::PriceDifference, constants: constants(0.0, 0.0, 1.0), doc: "MACD line: fast EMA less slow EMA" },
    SeriesSpec { kind: IndicatorKind::MacdSignal, name: "macd_signal", aliases: &[], params: &[param("fast", 2.0, 200.0, 1.0, 12.0), param("slow", 3.0, 400.0, 1.0, 26.0), param("signal", 2.0, 100.0, 1.0, 9.0)], scale: Scale::PriceDifference, constants: constants(0.0, 0.0, 1.0), doc: "MACD signal line: EMA of the MACD line" },
    SeriesSpec { kind: IndicatorKind::MacdHistogram, name: "macd_histogram", aliases: &["macd_hist"], params: &[param("fast", 2.0, 200.0, 1.0, 12.0), param("slow", 3.0, 400.0, 1.0, 26.0), param("signal", 2.0, 100.0, 1.0, 9.0)], scale: Scale::PriceDifference, constants: constants(0.0, 0.0, 1.0), doc: "MACD line less its signal line" },
    SeriesSpec { kind: IndicatorKind::BollingerUpper, name: "bollinger_upper", aliases: &["bb_upper"], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "upper Bollinger band (population deviation)" },
    SeriesSpec { kind: IndicatorKind::BollingerMiddle, name: "bollinger_middle", aliases: &["bb_middle", "bb_mid"], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "middle Bollinger band" },
    SeriesSpec { kind: IndicatorKind::BollingerLower, name: "bollinger_lower", aliases: &["bb_lower"], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "lower Bollinger band (population deviation)" },
    SeriesSpec { kind: IndicatorKind::BollingerWidth, name: "bollinger_width", aliases: &["bb_width"], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Fraction, constants: constants(0.005, 0.2, 0.005), doc: "(upper - lower) / middle" },
    SeriesSpec { kind: IndicatorKind::BollingerPercentB, name: "bollinger_percent_b", aliases: &["bb_percent_b", "percent_b"], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::UnitRange, constants: constants(-0.5, 1.5, 0.05), doc: "(close - lower) / (upper - lower)" },
    SeriesSpec { kind: IndicatorKind::Atr, name: "atr", aliases: &["average_true_range"], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Range, constants: None, doc: "Wilder's average true range, in price units" },
    SeriesSpec { kind: IndicatorKind::Natr, name: "natr", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::PercentOfPrice, constants: constants(0.05, 5.0, 0.05), doc: "ATR in percent of the close" },
    SeriesSpec { kind: IndicatorKind::Adx, name: "adx", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(5.0, 60.0, 1.0), doc: "Wilder's average directional index" },
    SeriesSpec { kind: IndicatorKind::PlusDi, name: "plus_di", aliases: &["di_plus"], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(5.0, 60.0, 1.0), doc: "Wilder's positive directional indicator" },
    SeriesSpec { kind: IndicatorKind::MinusDi, name: "minus_di", aliases: &["di_minus"], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(5.0, 60.0, 1.0), doc: "Wilder's negative directional indicator" },
    SeriesSpec { kind: IndicatorKind::StochasticK, name: "stochastic_k", aliases: &["stoch_k", "stochastic"], params: &[param("period", 2.0, 200.0, 1.0, 14.0), param("smooth", 1.0, 50.0, 1.0, 3.0)], scale: Scale::Percent, constants: constants(0.0, 100.0, 1.0), doc: "slow stochastic %K: SMA of the fast %K" },
    SeriesSpec { kind: IndicatorKind::StochasticD, name: "stochastic_d", aliases: &["stoch_d"], params: &[param("period", 2.0, 200.0, 1.0, 14.0), param("smooth", 1.0, 50.0, 1.0, 3.0), param("signal", 1.0, 50.0, 1.0, 3.0)], scale: Scale::Percent, constants: constants(0.0, 100.0, 1.0), doc: "slow stochastic %D: SMA of %K" },
    SeriesSpec { kind: IndicatorKind::Cci, name: "cci", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 20.0)], scale: Scale::Signed, constants: constants(-300.0, 300.0, 10.0), doc: "commodity channel index" },
    SeriesSpec { kind: IndicatorKind::Mfi, name: "mfi", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(0.0, 100.0, 1.0), doc: "money flow index" },
    SeriesSpec { kind: IndicatorKind::Obv, name: "obv", aliases: &[], params: &[], scale: Scale::Cumulative, constants: None, doc: "on-balance volume since the first candle of the window" },
    SeriesSpec { kind: IndicatorKind::WilliamsR, name: "williams_r", aliases: &["willr"], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::NegativePercent, constants: constants(-100.0, 0.0, 1.0), doc: "Williams %R, -100 to 0" },
    SeriesSpec { kind: IndicatorKind::Roc, name: "roc", aliases: &["rate_of_change"], params: &[param("period", 1.0, 500.0, 1.0, 10.0)], scale: Scale::PercentOfPrice, constants: constants(-10.0, 10.0, 0.1), doc: "rate of change of the close, in percent" },
    SeriesSpec { kind: IndicatorKind::DonchianUpper, name: "donchian_upper", aliases: &["donchian_high"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "highest high of the candles before this one" },
    SeriesSpec { kind: IndicatorKind::DonchianMiddle, name: "donchian_middle", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "middle of the Donchian channel" },
    SeriesSpec { kind: IndicatorKind::DonchianLower, name: "donchian_lower", aliases: &["donchian_low"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Price, constants: None, doc: "lowest low of the candles before this one" },
    SeriesSpec { kind: IndicatorKind::KeltnerUpper, name: "keltner_upper", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("atr_period", 2.0, 200.0, 1.0, 10.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "EMA plus a multiple of ATR" },
    SeriesSpec { kind: IndicatorKind::KeltnerMiddle, name: "keltner_middle", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("atr_period", 2.0, 200.0, 1.0, 10.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "EMA in the middle of the Keltner channel" },
    SeriesSpec { kind: IndicatorKind::KeltnerLower, name: "keltner_lower", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 20.0), param("atr_period", 2.0, 200.0, 1.0, 10.0), param("multiple", 0.1, 10.0, 0.1, 2.0)], scale: Scale::Price, constants: None, doc: "EMA less a multiple of ATR" },
    SeriesSpec { kind: IndicatorKind::Supertrend, name: "supertrend", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 10.0), param("multiple", 0.1, 10.0, 0.1, 3.0)], scale: Scale::Price, constants: None, doc: "SuperTrend line" },
    SeriesSpec { kind: IndicatorKind::SupertrendDirection, name: "supertrend_direction", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 10.0), param("multiple", 0.1, 10.0, 0.1, 3.0)], scale: Scale::Flag, constants: constants(0.0, 0.0, 1.0), doc: "1 while SuperTrend is up, -1 while it is down" },
    SeriesSpec { kind: IndicatorKind::IchimokuConversion, name: "ichimoku_conversion", aliases: &["tenkan"], params: &[param("period", 2.0, 200.0, 1.0, 9.0)], scale: Scale::Price, constants: None, doc: "middle of the high-low range of the last candles (tenkan-sen)" },
    SeriesSpec { kind: IndicatorKind::IchimokuBase, name: "ichimoku_base", aliases: &["kijun"], params: &[param("period", 2.0, 200.0, 1.0, 26.0)], scale: Scale::Price, constants: None, doc: "middle of the high-low range of the last candles (kijun-sen)" },
    SeriesSpec { kind: IndicatorKind::IchimokuSpanA, name: "ichimoku_span_a", aliases: &["senkou_a"], params: &[param("conversion", 2.0, 200.0, 1.0, 9.0), param("base", 2.0, 200.0, 1.0, 26.0), param("displacement", 1.0, 200.0, 1.0, 26.0)], scale: Scale::Price, constants: None, doc: "leading span A as it stands over this candle: computed `displacement` candles ago" },
    SeriesSpec { kind: IndicatorKind::IchimokuSpanB, name: "ichimoku_span_b", aliases: &["senkou_b"], params: &[param("period", 2.0, 400.0, 1.0, 52.0), param("displacement", 1.0, 200.0, 1.0, 26.0)], scale: Scale::Price, constants: None, doc: "leading span B as it stands over this candle: computed `displacement` candles ago" },
    SeriesSpec { kind: IndicatorKind::IchimokuLagging, name: "ichimoku_lagging", aliases: &["chikou"], params: &[param("displacement", 1.0, 200.0, 1.0, 26.0)], scale: Scale::Price, constants: None, doc: "the close that the lagging span meets: `close > ichimoku_lagging(26)` says that it is above price" },
    SeriesSpec { kind: IndicatorKind::SwingResistance, name: "swing_resistance", aliases: &["resistance", "swing_high"], params: &[param("strength", 1.0, 50.0, 1.0, 5.0)], scale: Scale::Price, constants: None, doc: "last swing high confirmed by `strength` lower highs on each side" },
    SeriesSpec { kind: IndicatorKind::SwingSupport, name: "swing_support", aliases: &["support", "swing_low"], params: &[param("strength", 1.0, 50.0, 1.0, 5.0)], scale: Scale::Price, constants: None, doc: "last swing low confirmed by `strength` higher lows on each side" },
    SeriesSpec { kind: IndicatorKind::BullishOrderBlockHigh, name: "bullish_order_block_high", aliases: &[], params: &[param("period", 3.0, 200.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 1.5)], scale: Scale::Price, constants: None, doc: "top of the last bullish order block" },
    SeriesSpec { kind: IndicatorKind::BullishOrderBlockLow, name: "bullish_order_block_low", aliases: &[], params: &[param("period", 3.0, 200.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 1.5)], scale: Scale::Price, constants: None, doc: "bottom of the last bullish order block" },
    SeriesSpec { kind: IndicatorKind::BearishOrderBlockHigh, name: "bearish_order_block_high", aliases: &[], params: &[param("period", 3.0, 200.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 1.5)], scale: Scale::Price, constants: None, doc: "top of the last bearish order block" },
    SeriesSpec { kind: IndicatorKind::BearishOrderBlockLow, name: "bearish_order_block_low", aliases: &[], params: &[param("period", 3.0, 200.0, 1.0, 20.0), param("multiple", 0.1, 10.0, 0.1, 1.5)], scale: Scale::Price, constants: None, doc: "bottom of the last bearish order block" },
    SeriesSpec { kind: IndicatorKind::WyckoffSpring, name: "wyckoff_spring", aliases: &["spring"], params: &[param("period", 5.0, 300.0, 1.0, 50.0)], scale: Scale::Flag, constants: constants(0.0, 0.0, 1.0), doc: "1 on a spring (a false break below the range, on volume), else 0" },
    SeriesSpec { kind: IndicatorKind::WyckoffUpthrust, name: "wyckoff_upthrust", aliases: &["upthrust"], params: &[param("period", 5.0, 300.0, 1.0, 50.0)], scale: Scale::Flag, constants: constants(0.0, 0.0, 1.0), doc: "1 on an upthrust (a false break above the range, on volume), else 0" },
    SeriesSpec { kind: IndicatorKind::ParabolicSar, name: "parabolic_sar", aliases: &["sar", "psar"], params: &[param("step", 0.005, 0.1, 0.005, 0.02), param("maximum", 0.05, 0.5, 0.05, 0.2)], scale: Scale::Price, constants: None, doc: "Wilder's parabolic stop and reverse" },
    SeriesSpec { kind: IndicatorKind::LinregSlope, name: "linreg_slope", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::PriceDifference, constants: constants(0.0, 0.0, 1.0), doc: "slope of the least-squares line through closes, price a candle" },
    SeriesSpec { kind: IndicatorKind::StandardDeviation, name: "standard_deviation", aliases: &["stddev"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Range, constants: None, doc: "population standard deviation of closes" },
    SeriesSpec { kind: IndicatorKind::RealizedVolatility, name: "realized_volatility", aliases: &["realised_volatility"], params: &[param("period", 2.0, 500.0, 1.0, 24.0)], scale: Scale::Fraction, constants: constants(0.001, 0.05, 0.001), doc: "root mean square of log returns, a candle" },
    SeriesSpec { kind: IndicatorKind::VolatilityPercentile, name: "volatility_percentile", aliases: &[], params: &[param("period", 2.0, 500.0, 1.0, 24.0), param("lookback", 20.0, 2000.0, 1.0, 200.0)], scale: Scale::UnitRange, constants: constants(0.0, 1.0, 0.05), doc: "trailing mid-rank of realised volatility, 0 to 1" },
    SeriesSpec { kind: IndicatorKind::VolumeZscore, name: "volume_zscore", aliases: &[], params: &[param("period", 3.0, 500.0, 1.0, 48.0)], scale: Scale::Signed, constants: constants(-3.0, 6.0, 0.25), doc: "standard score of the volume in its window" },
    SeriesSpec { kind: IndicatorKind::VolumeSma, name: "volume_sma", aliases: &["volume_ma"], params: &[param("period", 2.0, 500.0, 1.0, 20.0)], scale: Scale::Volume, constants: None, doc: "simple moving average of the volume" },
    SeriesSpec { kind: IndicatorKind::Choppiness, name: "choppiness", aliases: &["chop"], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Percent, constants: constants(30.0, 70.0, 1.0), doc: "choppiness index, 0 to 100" },
    SeriesSpec { kind: IndicatorKind::Regime, name: "regime", aliases: &[], params: &[param("period", 2.0, 200.0, 1.0, 14.0)], scale: Scale::Flag, constants: constants(0.0, 0.0, 1.0), doc: "1 trending, 0 ranging, -1 choppy" },
    SeriesSpec { kind: IndicatorKind::HourOfDay, name: "hour_of_day", aliases: &["hour"], params: &[], scale: Scale::Hour, constants: constants(0.0, 23.0, 1.0), doc: "hour of the candle close, UTC, 0 to 23" },
    SeriesSpec { kind: IndicatorKind::DayOfWeek, name: "day_of_week", aliases: &["weekday"], params: &[], scale: Scale::Weekday, constants: constants(0.0, 6.0, 1.0), doc: "weekday of the candle close, UTC, Monday 0 to Sunday 6" },
    SeriesSpec { kind: IndicatorKind::Amihud, name: "amihud", aliases: &["illiquidity"], params: &[param("period", 1.0, 500.0, 1.0, 20.0)], scale: Scale::PerMoney, constants: None, doc: "mean of |close / close before - 1| / quote volume; undefined where a quote volume in it is 0" },
    SeriesSpec { kind: IndicatorKind::Funding, name: "funding", aliases: &["funding_rate"], params: &[], scale: Scale::Rate, constants: None, doc: "last funding rate known, a fraction of the notional" },
    SeriesSpec { kind: IndicatorKind::FundingMean, name: "funding_mean", aliases: &[], params: &[param("days", 1.0, 365.0, 1.0, 7.0)], scale: Scale::Rate, constants: None, doc: "mean of the funding rates known in the last days" },
    SeriesSpec { kind: IndicatorKind::FundingSum, name: "funding_sum", aliases: &[], params: &[param("days", 1.0, 365.0, 1.0, 7.0)], scale: Scale::Rate, constants: None, doc: "sum of the funding rates known in the last days" },
    SeriesSpec { kind: IndicatorKind::Premium, name: "premium", aliases: &["premium_index", "basis"], params: &[], scale: Scale::Rate, constants: None, doc: "close of the last premium index candle known, a fraction of the index price" },
    SeriesSpec { kind: IndicatorKind::PremiumMean, name: "premium_mean", aliases: &[], params: &[param("days", 1.0, 365.0, 1.0, 7.0)], scale: Scale::Rate, constants: None, doc: "mean of the closes of the premium index candles known in the last days" },
    SeriesSpec { kind: IndicatorKind::OpenInterest, name: "open_interest", aliases: &[], params: &[], scale: Scale::Volume, constants: None, doc: "open interest in coins" },
    SeriesSpec { kind: IndicatorKind::OpenInterestValue, name: "open_interest_value", aliases: &[], params: &[], scale: Scale::Money, constants: None, doc: "open interest in money" },
    SeriesSpec { kind: IndicatorKind::LongShortRatio, name: "long_short_ratio", aliases: &[], params: &[], scale: Scale::Ratio, constants: None, doc: "long accounts over short accounts" },
    SeriesSpec { kind: IndicatorKind::TopLongShortRatio, name: "top_long_short_ratio", aliases: &[], params: &[], scale: Scale::Ratio, constants: None, doc: "long positions over short positions of the top traders" },
    SeriesSpec { kind: IndicatorKind::TakerLongShortRatio, name: "taker_long_short_ratio", aliases: &[], params: &[], scale: Scale::Ratio, constants: None, doc: "bought over sold volume of takers" },
];
