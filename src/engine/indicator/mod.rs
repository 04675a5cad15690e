//! What each indicator of the language is worth at each candle.
//!
//! One small file an indicator or close family, which states formula, source and the index of the first defined
//! value; where TA-Lib has the indicator, seeds are TA-Lib's. All of them hold to this:
//!
//! - The value at candle i depends on candles 0 to i alone, and has the same bits whether or not later ones exist.
//! - A value costs O(1), whatever the period, unless its file says otherwise.
//! - Where there is nothing to divide by, the value is undefined or what the file says; never infinite. Prices so far
//!   apart that a sum overflows give undefined values.
//! - Candles are neighbours in time order; a gap is not filled and has no width.
//! - What compares or subtracts sums and differences of prices does it in ticks of 1e-8, where a tie is a tie.
//!
//! Nothing here knows rules, trades or higher timeframes.

mod bollinger;
mod calendar;
mod cci;
mod choppiness;
mod column;
mod directional;
mod donchian;
mod ema;
mod ichimoku;
mod keltner;
pub(super) mod lanes;
mod linear_regression;
pub(super) mod liquidity;
mod macd;
mod money_flow;
mod moving_average;
mod order_block;
mod parabolic_sar;
mod rate_of_change;
pub mod rolling;
mod rsi;
mod stochastic;
mod supertrend;
mod swing;
mod ticks;
mod trend_regime;
mod true_range;
mod volatility;
mod volume;
mod vwap;
mod wyckoff;

pub use column::Column;
pub use volatility::{realized_volatility, squared_moves};

use candles::CandleSeries;
use genome::{Indicator, IndicatorKind as Kind};
use order_block::{Border, Impulse};
use ticks::Ticks;

/// The indicator's value at each candle.
///
/// Any number of candles is fine: where there are too few, every value is undefined.
#[must_use]
pub fn compute(indicator: &Indicator, candles: &CandleSeries) -> Column {
    let number = |i: usize| indicator.params()[i].get();
    // Periods lie on a grid of 1, so rounding only removes what is left of reading decimals.
    let bars = |i: usize| number(i).round() as usize;
    let closes = candles.closes();
    let block = |impulse, border| order_block::order_block(candles, bars(0), number(1), impulse, border);
    match indicator.kind() {
        Kind::Sma => moving_average::sma(closes, bars(0)),
        Kind::Ema => ema::ema(closes, bars(0)),
        Kind::Wma => moving_average::wma(closes, bars(0)),
        Kind::Hma => moving_average::hma(closes, bars(0)),
        Kind::Rsi => rsi::rsi(closes, bars(0)),
        Kind::Macd => macd::line(closes, bars(0), bars(1)),
        Kind::MacdSignal => macd::signal(closes, bars(0), bars(1), bars(2)),
        Kind::MacdHistogram => macd::histogram(closes, bars(0), bars(1), bars(2)),
        Kind::BollingerUpper => bollinger::bollinger(closes, bars(0), number(1), bollinger::Line::Upper),
        Kind::BollingerMiddle => moving_average::sma(closes, bars(0)),
        Kind::BollingerLower => bollinger::bollinger(closes, bars(0), number(1), bollinger::Line::Lower),
        Kind::BollingerWidth => bollinger::bollinger(closes, bars(0), number(1), bollinger::Line::Width),
        Kind::BollingerPercentB => bollinger::bollinger(closes, bars(0), number(1), bollinger::Line::PercentB),
        Kind::StandardDeviation => bollinger::standard_deviation(closes, bars(0)),
        Kind::Atr => true_range::atr(candles, bars(0)),
        Kind::Natr => true_range::natr(candles, bars(0)),
        Kind::Adx => directional::adx(candles, bars(0)),
        Kind::PlusDi => directional::indicator(candles, bars(0), directional::Line::PlusDi),
        Kind::MinusDi => directional::indicator(candles, bars(0), directional::Line::MinusDi),
        Kind::StochasticK => stochastic::k(candles, bars(0), bars(1)),
        Kind::StochasticD => stochastic::d(candles, bars(0), bars(1), bars(2)),
        Kind::WilliamsR => stochastic::williams_r(candles, bars(0)),
        Kind::DonchianUpper => donchian::upper(candles, bars(0)),
        Kind::DonchianMiddle => donchian::channel_middle(candles, bars(0)),
        Kind::DonchianLower => donchian::lower(candles, bars(0)),
        Kind::Vwap => vwap::rolling_vwap(candles, bars(0)),
        Kind::SessionVwap => vwap::session_vwap(candles),
        Kind::Cci => cci::cci(candles, bars(0)),
        Kind::Mfi => money_flow::mfi(candles, bars(0)),
        Kind::Obv => money_flow::obv(candles),
        Kind::Roc => rate_of_change::roc(closes, bars(0)),
        Kind::KeltnerUpper => keltner::band(candles, bars(0), bars(1), number(2)),
        Kind::KeltnerMiddle => ema::ema(closes, bars(0)),
        Kind::KeltnerLower => keltner::band(candles, bars(0), bars(1), -number(2)),
        Kind::Supertrend => supertrend::line(candles, bars(0), number(1)),
        Kind::SupertrendDirection => supertrend::direction(candles, bars(0), number(1)),
        Kind::IchimokuConversion | Kind::IchimokuBase => ichimoku::range_middle(candles, bars(0)),
        Kind::IchimokuSpanA => ichimoku::span_a(candles, bars(0), bars(1), bars(2)),
        Kind::IchimokuSpanB => ichimoku::span_b(candles, bars(0), bars(1)),
        Kind::IchimokuLagging => ichimoku::lagging(candles, bars(0)),
        Kind::SwingResistance => swing::resistance(candles, bars(0)),
        Kind::SwingSupport => swing::support(candles, bars(0)),
        Kind::BullishOrderBlockHigh => block(Impulse::Bullish, Border::High),
        Kind::BullishOrderBlockLow => block(Impulse::Bullish, Border::Low),
        Kind::BearishOrderBlockHigh => block(Impulse::Bearish, Border::High),
        Kind::BearishOrderBlockLow => block(Impulse::Bearish, Border::Low),
        Kind::WyckoffSpring => wyckoff::spring(candles, bars(0)),
        Kind::WyckoffUpthrust => wyckoff::upthrust(candles, bars(0)),
        Kind::ParabolicSar => parabolic_sar::parabolic_sar(candles, number(0), number(1)),
        Kind::LinregSlope => linear_regression::slope(closes, bars(0)),
        Kind::RealizedVolatility => volatility::realized_volatility(closes, bars(0)),
        Kind::VolatilityPercentile => volatility::percentile(closes, bars(0), bars(1)),
        Kind::VolumeZscore => volume::zscore(candles.volumes(), bars(0)),
        Kind::VolumeSma => volume::volume_sma(candles.volumes(), bars(0)),
        Kind::Choppiness => choppiness::choppiness(candles, bars(0)),
        Kind::Regime => trend_regime::regime(candles, bars(0)),
        Kind::HourOfDay => calendar::hour_of_day(candles),
        Kind::DayOfWeek => calendar::day_of_week(candles),
        Kind::Amihud => liquidity::amihud(candles, bars(0)),
        // What is no candles' own needs readings: `columns` has them.
        Kind::Funding
        | Kind::FundingMean
        | Kind::FundingSum
        | Kind::Premium
        | Kind::PremiumMean
        | Kind::OpenInterest
        | Kind::OpenInterestValue
        | Kind::LongShortRatio
        | Kind::TopLongShortRatio
        | Kind::TakerLongShortRatio => Column::new(undefined(candles.len())),
    }
}

/// (high + low + close) / 3 of each candle.
pub(super) fn typical_prices(candles: &CandleSeries) -> Vec<f64> {
    Ticks::of(candles).typical_sums().into_iter().map(|sum| sum / (3.0 * ticks::PER_UNIT)).collect()
}

fn undefined(len: usize) -> Vec<f64> {
    vec![f64::NAN; len]
}

/// (high + low) / 2, in price units.
#[inline]
fn middle(high: f64, low: f64) -> f64 {
    (ticks::ticks(high) + ticks::ticks(low)) / (2.0 * ticks::PER_UNIT)
}
