//! Against TA-Lib 0.8, and volatility against a plain program (`tests/vectors/README.md`).

use super::candles::{START_MS, indicator, series};
use candles::{Candle, CandleSeries, Interval};
use engine::indicator::compute;
use genome::IndicatorKind as Kind;

fn vectors(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<Option<f64>> {
    value.as_array().unwrap().iter().map(serde_json::Value::as_f64).collect()
}

fn candles_of(rows: impl Iterator<Item = [f64; 5]>) -> CandleSeries {
    const STEP_MS: i64 = 900_000;
    let candles: Vec<Candle> = rows
        .zip(0i64..)
        .map(|([open, high, low, close, volume], i)| Candle {
            open_time_ms: START_MS + i * STEP_MS,
            open,
            high,
            low,
            close,
            volume,
            close_time_ms: START_MS + (i + 1) * STEP_MS - 1,
            quote_volume: 0.0,
            trade_count: 0,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        })
        .collect();
    series(&candles, Interval::M15)
}

/// Compares where the vector is defined, `shift` candles later.
fn assert_equal(name: &str, got: &engine::indicator::Column, expected: &[Option<f64>], shift: usize, tol: f64) {
    let mut compared = 0;
    for (i, expected) in expected.iter().enumerate().filter(|(i, _)| i + shift < got.len()) {
        let Some(expected) = expected else { continue };
        let got = got.get(i + shift).unwrap_or(f64::NAN);
        let close = (got - expected).abs() <= tol * expected.abs().max(1e-3);
        assert!(close, "{name} at {}: {got}, expected {expected}", i + shift);
        compared += 1;
    }
    assert!(compared > 150, "{name} compared at {compared} candles only");
}

#[test]
fn ta_lib_agrees() {
    let vectors = vectors(include_str!("../../vectors/10_talib/ohlcv_300.json"));
    let column = |name: &str| numbers(&vectors["inputs"][name]).into_iter().flatten().collect::<Vec<f64>>();
    let [open, high, low, close, volume] = ["open", "high", "low", "close", "volume"].map(column);
    let candles = candles_of((0..open.len()).map(|i| [open[i], high[i], low[i], close[i], volume[i]]));
    let tol = vectors["rel_tol"].as_f64().unwrap();

    // Name there, indicator here, its first defined index here, candles by which it is later here.
    let table: &[(&str, Kind, &[f64], usize, usize)] = &[
        ("SMA_20", Kind::Sma, &[20.0], 19, 0),
        ("EMA_12", Kind::Ema, &[12.0], 11, 0),
        ("EMA_26", Kind::Ema, &[26.0], 25, 0),
        ("WMA_10", Kind::Wma, &[10.0], 9, 0),
        ("RSI_14", Kind::Rsi, &[14.0], 14, 0),
        ("RSI_7", Kind::Rsi, &[7.0], 7, 0),
        ("MACD_12_26_9", Kind::Macd, &[12.0, 26.0], 25, 0),
        ("MACD_signal", Kind::MacdSignal, &[12.0, 26.0, 9.0], 33, 0),
        ("MACD_hist", Kind::MacdHistogram, &[12.0, 26.0, 9.0], 33, 0),
        ("ATR_14", Kind::Atr, &[14.0], 14, 0),
        ("NATR_14", Kind::Natr, &[14.0], 14, 0),
        ("BB_upper_20_2", Kind::BollingerUpper, &[20.0, 2.0], 19, 0),
        ("BB_mid_20_2", Kind::BollingerMiddle, &[20.0, 2.0], 19, 0),
        ("BB_lower_20_2", Kind::BollingerLower, &[20.0, 2.0], 19, 0),
        ("STDDEV_20", Kind::StandardDeviation, &[20.0], 19, 0),
        ("ADX_14", Kind::Adx, &[14.0], 27, 0),
        ("PLUS_DI_14", Kind::PlusDi, &[14.0], 14, 0),
        ("MINUS_DI_14", Kind::MinusDi, &[14.0], 14, 0),
        ("STOCH_k_14_3", Kind::StochasticK, &[14.0, 3.0], 15, 0),
        ("STOCH_d_3", Kind::StochasticD, &[14.0, 3.0, 3.0], 17, 0),
        ("STOCHF_k_14", Kind::StochasticK, &[14.0, 1.0], 13, 0),
        ("STOCHF_d_3", Kind::StochasticD, &[14.0, 1.0, 3.0], 15, 0),
        ("CCI_20", Kind::Cci, &[20.0], 19, 0),
        ("WILLR_14", Kind::WilliamsR, &[14.0], 13, 0),
        ("ROC_10", Kind::Roc, &[10.0], 10, 0),
        ("OBV", Kind::Obv, &[], 0, 0),
        ("MFI_14", Kind::Mfi, &[14.0], 14, 0),
        ("LINEARREG_SLOPE_14", Kind::LinregSlope, &[14.0], 13, 0),
        ("SAR", Kind::ParabolicSar, &[0.02, 0.2], 1, 0),
        ("DONCHIAN_hi_20", Kind::DonchianUpper, &[20.0], 20, 1),
        ("DONCHIAN_lo_20", Kind::DonchianLower, &[20.0], 20, 1),
    ];
    for (name, kind, params, first, shift) in table {
        let got = compute(&indicator(*kind, params), &candles);
        assert_eq!(got.first_defined(), *first, "{name}");
        // TA-Lib's running sums of squares are good to 1e-7 only.
        let tol = if name.starts_with("BB") || *name == "STDDEV_20" { 1e-7 } else { tol };
        assert_equal(name, &got, &numbers(&vectors["outputs"][*name]), *shift, tol);
    }
}

#[test]
fn volatility_and_its_percentile_agree() {
    let vectors = vectors(include_str!("../../vectors/16_wfe_regime/regime.json"));
    let returns: Vec<f64> = numbers(&vectors["inputs"]["r"]).into_iter().flatten().collect();
    let mut close = 100.0;
    let first = [close; 5];
    let candles = candles_of(std::iter::once(first).chain(returns.iter().map(|r| {
        close *= r.exp();
        [close; 5]
    })));
    let param = |name: &str| vectors["inputs"][name].as_f64().unwrap();
    let (w, l) = (param("w"), param("L"));
    let tol = vectors["rel_tol"].as_f64().unwrap();
    // The first return belongs to the second candle.
    let volatility = compute(&indicator(Kind::RealizedVolatility, &[w]), &candles);
    assert_equal("rv", &volatility, &numbers(&vectors["outputs"]["rv"]), 1, tol);
    assert_eq!(volatility.first_defined(), w as usize);
    let percentile = compute(&indicator(Kind::VolatilityPercentile, &[w, l]), &candles);
    assert_equal("pct", &percentile, &numbers(&vectors["outputs"]["pct"]), 1, tol);
    assert_eq!(percentile.first_defined(), (w + l) as usize - 1);
}
