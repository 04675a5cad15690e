//! Binance's JSON, read into our values.
//!
//! Candles, limits and the time come through the types of the crate `binance`. Its `ExchangeInformation` is not used:
//! each of its symbols needs fields that only spot has, and its filters are a closed list, so that one filter new at
//! the exchange would make the whole answer unreadable. Symbols are read leniently here instead.

use crate::exchange::{ExchangeInfo, Metric, MetricRow, RateLimit, SymbolInfo};
use binance::model::{KlineSummary, ServerTime};
use candles::{Candle, FundingRate};
use serde::Deserialize;
use serde_json::Value;

/// Rows of klines, as given.
pub(super) fn klines(body: &[u8]) -> Result<Vec<Candle>, String> {
    let rows: Vec<Vec<Value>> = serde_json::from_slice(body).map_err(|e| format!("no rows of candles ({e})"))?;
    let read = |(i, row): (usize, &Vec<Value>)| {
        let summary =
            KlineSummary::try_from(row).map_err(|e| format!("a candle, row {i}, that does not parse ({e})"))?;
        candle(&summary).map_err(|what| format!("a candle, row {i}, whose {what} is not a number"))
    };
    rows.iter().enumerate().map(read).collect()
}

fn candle(row: &KlineSummary) -> Result<Candle, &'static str> {
    let number = |text: &str, name: &'static str| text.parse::<f64>().map_err(|_| name);
    Ok(Candle {
        open_time_ms: row.open_time,
        open: number(&row.open, "open")?,
        high: number(&row.high, "high")?,
        low: number(&row.low, "low")?,
        close: number(&row.close, "close")?,
        volume: number(&row.volume, "volume")?,
        close_time_ms: row.close_time,
        quote_volume: number(&row.quote_asset_volume, "quote volume")?,
        trade_count: u64::try_from(row.number_of_trades).map_err(|_| "trade count")?,
        taker_buy_volume: number(&row.taker_buy_base_asset_volume, "taker buy volume")?,
        taker_buy_quote_volume: number(&row.taker_buy_quote_asset_volume, "taker buy quote volume")?,
    })
}

/// The exchange's clock.
pub(super) fn server_time_ms(body: &[u8]) -> Result<i64, String> {
    let time: ServerTime = serde_json::from_slice(body).map_err(|e| format!("no time ({e})"))?;
    i64::try_from(time.server_time).map_err(|_| "an impossible time".to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ticker {
    symbol: String,
    quote_volume: Value,
}

/// A symbol, or a name that cannot be one here.
pub type Listing = Result<candles::Symbol, String>;

/// Symbols with the quote volume of their last day, the largest first. A name that cannot be a symbol here stays text.
pub(super) fn quote_volumes(body: &[u8]) -> Result<Vec<(Listing, f64)>, String> {
    let tickers: Vec<Ticker> = serde_json::from_slice(body).map_err(|e| format!("no volumes ({e})"))?;
    let read = |ticker: Ticker| {
        let volume = match &ticker.quote_volume {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        let symbol = ticker.symbol.parse().map_err(|_| ticker.symbol);
        Some((symbol, volume.filter(|v: &f64| v.is_finite())?))
    };
    let mut all: Vec<_> = tickers.into_iter().filter_map(read).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(all)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    server_time: i64,
    rate_limits: Vec<binance::model::RateLimit>,
    #[serde(default)]
    symbols: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    symbol: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    base_asset: String,
    #[serde(default)]
    quote_asset: String,
    onboard_date: Option<i64>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    filter_type: String,
    tick_size: Option<Value>,
    step_size: Option<Value>,
}

/// Limits and symbols. Symbols with names that cannot be ours (they exist) are left out.
pub(super) fn exchange_info(body: &[u8]) -> Result<ExchangeInfo, String> {
    let info: Info = serde_json::from_slice(body).map_err(|e| format!("no exchange information ({e})"))?;
    let rate_limits = info.rate_limits.into_iter().map(rate_limit).collect();
    let symbols = info.symbols.into_iter().filter_map(symbol).collect();
    Ok(ExchangeInfo { server_time_ms: info.server_time, rate_limits, symbols })
}

fn rate_limit(stated: binance::model::RateLimit) -> RateLimit {
    let unit_s = match stated.interval.as_str() {
        "SECOND" => 1,
        "MINUTE" => 60,
        "HOUR" => 3_600,
        "DAY" => 86_400,
        _ => 0,
    };
    RateLimit {
        kind: stated.rate_limit_type,
        interval_s: unit_s * u64::from(stated.interval_num),
        limit: u32::try_from(stated.limit).unwrap_or(u32::MAX),
    }
}

fn symbol(listed: Listed) -> Option<SymbolInfo> {
    let size = |kind: &str, pick: fn(&Filter) -> Option<&Value>| {
        let value = listed.filters.iter().find(|f| f.filter_type == kind).and_then(pick)?;
        value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok())
    };
    let tick_size = size("PRICE_FILTER", |f| f.tick_size.as_ref());
    let step_size = size("LOT_SIZE", |f| f.step_size.as_ref());
    Some(SymbolInfo {
        symbol: listed.symbol.parse().ok()?,
        status: listed.status,
        base_asset: listed.base_asset,
        quote_asset: listed.quote_asset,
        listed_ms: listed.onboard_date,
        tick_size,
        step_size,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Funding {
    funding_time: i64,
    funding_rate: String,
}

/// Funding payments, as given.
pub(super) fn funding_rates(body: &[u8]) -> Result<Vec<FundingRate>, String> {
    let rows: Vec<Funding> = serde_json::from_slice(body).map_err(|e| format!("no funding rates ({e})"))?;
    let read = |row: &Funding| {
        let rate: f64 = row.funding_rate.parse().map_err(|_| "a funding rate that is not a number".to_owned())?;
        Ok(FundingRate { time_ms: row.funding_time, rate })
    };
    rows.iter().map(read).collect()
}

/// Rows of a part of the metrics, as given. Numbers and times come as text or as numbers.
pub(super) fn metric_rows(body: &[u8], metric: Metric) -> Result<Vec<MetricRow>, String> {
    let names: &[&str] = match metric {
        Metric::OpenInterest => &["sumOpenInterest", "sumOpenInterestValue"],
        Metric::TopTraderAccounts | Metric::TopTraderPositions | Metric::Accounts => &["longShortRatio"],
        Metric::TakerVolume => &["buySellRatio"],
    };
    let rows: Vec<serde_json::Map<String, Value>> =
        serde_json::from_slice(body).map_err(|e| format!("no rows of metrics ({e})"))?;
    let read = |row: &serde_json::Map<String, Value>| {
        let time_ms = match row.get("timestamp") {
            Some(Value::String(text)) => text.parse().ok(),
            other => other.and_then(Value::as_i64),
        };
        let number = |name: &&str| {
            let value = match row.get(*name) {
                Some(Value::String(text)) => text.parse().ok(),
                other => other.and_then(Value::as_f64),
            };
            value.ok_or_else(|| format!("metrics whose {name} is not a number"))
        };
        Ok(MetricRow {
            time_ms: time_ms.ok_or("metrics without a timestamp")?,
            values: names.iter().map(number).collect::<Result<_, String>>()?,
        })
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn candles_come_with_spot_and_futures_decimals() {
        let body =
            br#"[[1634943780000,"60685.22000000","60729.84000000","60670.90000000","60719.27000000","21.63272000",
            1634943839999,"1313200.01340410",617,"12.28492000","745719.41022840","0"],
            [1789478160000,"76936.20","76965.50","76936.10","76965.40","20.680",1789478219999,"1591436.27140",878,
            "15.190","1168938.63310","0"]]"#;
        let rows = klines(body).unwrap();
        assert_eq!((rows[0].open_time_ms, rows[0].close, rows[0].trade_count), (1_634_943_780_000, 60_719.27, 617));
        assert_eq!((rows[1].close_time_ms, rows[1].taker_buy_quote_volume), (1_789_478_219_999, 1_168_938.633_1));
        assert_eq!(klines(b"[]"), Ok(vec![]));
        for (bad, says) in
            [("{}", "no rows"), ("[[1,2]]", "row 0"), (r#"[[1,"x","1","1","1","1",2,"1",1,"1","1"]]"#, "open")]
        {
            let error = klines(bad.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn exchange_information_survives_what_is_new_or_missing() {
        let body = br#"{"timezone":"UTC","serverTime":7,"futuresType":"U_MARGINED","rateLimits":[
            {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400},
            {"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300}],
            "symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","onboardDate":5,
            "filters":[{"filterType":"BRAND_NEW","x":[1]},{"tickSize":"0.10","filterType":"PRICE_FILTER"},
            {"filterType":"LOT_SIZE","stepSize":"0.001"},{"filterType":"MAX_NUM_ORDERS","limit":200}]},
            {"symbol":"\u5e01\u5b89USDT"}]}"#;
        let info = exchange_info(body).unwrap();
        assert_eq!((info.server_time_ms, info.weight_per_minute(), info.symbols.len()), (7, Some(2_400), 1));
        let btc = info.symbol(&"BTCUSDT".parse().unwrap()).unwrap();
        assert_eq!((btc.tick_size, btc.step_size, btc.listed_ms), (Some(0.1), Some(0.001), Some(5)));
    }

    #[test]
    fn volumes_come_in_order_and_keep_names_that_cannot_be_symbols() {
        let body = r#"[{"symbol":"BTCUSDT","quoteVolume":"5.0"},{"symbol":"币安人生USDT","quoteVolume":"7"},
            {"symbol":"1000SHIBUSDT","quoteVolume":6},{"symbol":"ETHUSDT","quoteVolume":"NaN"}]"#;
        let names: Vec<_> = quote_volumes(body.as_bytes()).unwrap().into_iter().map(|(name, _)| name).collect();
        let symbol = |name: &str| Ok(name.parse().unwrap());
        assert_eq!(names, [Err("币安人生USDT".to_owned()), symbol("1000SHIBUSDT"), symbol("BTCUSDT")]);
    }

    #[test]
    fn time_and_funding_are_read() {
        assert_eq!(server_time_ms(br#"{"serverTime":1499827319559}"#), Ok(1_499_827_319_559));
        let body = br#"[{"symbol":"BTCUSDT","fundingRate":"-0.00010000","fundingTime":1570608000000,"markPrice":""}]"#;
        assert_eq!(funding_rates(body), Ok(vec![FundingRate { time_ms: 1_570_608_000_000, rate: -0.0001 }]));
    }

    #[test]
    fn metrics_are_read_whether_times_are_text_or_numbers() {
        let body =
            br#"[{"symbol":"BTCUSDT","sumOpenInterest":"20403.63700000","sumOpenInterestValue":"150570784.07809979",
            "timestamp":1583127900000}]"#;
        let row = MetricRow { time_ms: 1_583_127_900_000, values: vec![20_403.637, 150_570_784.078_099_8] };
        assert_eq!(metric_rows(body, Metric::OpenInterest), Ok(vec![row]));
        let body = br#"[{"symbol":"BTCUSDT","longShortRatio":"1.4342","longAccount":"0.5891","shortAccount":"0.4108",
            "timestamp":"1583139600000"}]"#;
        let ratio = MetricRow { time_ms: 1_583_139_600_000, values: vec![1.4342] };
        for metric in [Metric::TopTraderAccounts, Metric::TopTraderPositions, Metric::Accounts] {
            assert_eq!(metric_rows(body, metric), Ok(vec![ratio.clone()]));
        }
        let said = metric_rows(body, Metric::TakerVolume).unwrap_err();
        assert_eq!(said, "metrics whose buySellRatio is not a number");
        let body =
            br#"[{"buySellRatio":"1.5586","buyVol":"387.3300","sellVol":"248.5030","timestamp":"1585614900000"}]"#;
        assert_eq!(metric_rows(body, Metric::TakerVolume).unwrap()[0].values, [1.5586]);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (klines(&body), exchange_info(&body), server_time_ms(&body), funding_rates(&body));
            let _ = metric_rows(&body, Metric::OpenInterest);
        }

        #[test]
        fn no_row_of_json_panics(body in r#"\[(\[((-?[0-9]{1,20}|"[0-9.eNa-]{0,9}"|null|\{\}),){0,12}1\],?){0,3}\]"#) {
            let _ = klines(body.as_bytes());
        }
    }
}
