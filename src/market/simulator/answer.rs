//! Bodies as Binance writes them: rows of twelve, prices as strings, exchangeInfo, funding rates.
//!
//! Pure: market, request and time in, text out. Never counts weight and knows nothing of faulty answers.

use super::faults::CandleFaults;
use super::in_process::{assets, metric_rows, premium_candle};
use super::lives::{listed, status};
use super::query::{ApiError, FundingRequest, KlinesRequest, MetricRequest, Params};
use crate::exchange::Metric;
use candles::{Candle, Interval, MarketKind, Symbol, interval};
use serde_json::{Value, json};
use simulated::{MarketError, PremiumCandle, SimulatedMarket, SymbolSpec};
use std::fmt::Write;

/// Longest month: windows of this length hold at least one candle of any interval.
pub(super) const MONTH_MS: i64 = 31 * 86_400_000;

impl From<MarketError> for ApiError {
    fn from(error: MarketError) -> Self {
        match error {
            MarketError::UnknownSymbol(_) => Self::invalid_symbol(),
            MarketError::TooFine { .. } | MarketError::TooFar(_) => Self::invalid_interval(),
        }
    }
}

/// The rows asked for, at simulated time `now_ms`.
pub(super) fn klines(
    market: &SimulatedMarket,
    kind: MarketKind,
    request: &KlinesRequest,
    faults: Option<&CandleFaults>,
    now_ms: i64,
) -> Result<String, ApiError> {
    let spec = symbol_spec(market, &request.symbol, now_ms)?;
    let base_ms = market.spec().base.fixed_ms().unwrap_or(MONTH_MS);
    let seen = |from_ms: i64, to_ms: i64| {
        market.seen(&request.symbol, request.interval, (from_ms, to_ms), now_ms, |open_ms, candle| match faults {
            Some(faults) => faults.shown(open_ms, base_ms, now_ms, candle),
            None => Some(candle),
        })
    };
    let length = request.interval.fixed_ms().unwrap_or(MONTH_MS);
    // The first candle of a week or month may open before the listing itself.
    let first_ms = interval::open_time_ms(request.interval, spec.listed_ms.unwrap_or(market.spec().start_ms));
    let delisted_ms = spec.delisted_ms.unwrap_or(i64::MAX);
    let last_ms = request.end_ms.unwrap_or(i64::MAX).min(now_ms).min(delisted_ms.saturating_sub(1));
    let mut rows: Vec<Candle> = Vec::new();
    if let Some(start_ms) = request.start_ms {
        // Upwards, in windows as wide as what is still missing: gaps leave them short.
        let mut from_ms = start_ms.max(first_ms);
        while from_ms <= last_ms && rows.len() < request.limit {
            let to_ms = last_ms.min(from_ms + (request.limit - rows.len()) as i64 * length - 1);
            rows.extend(seen(from_ms, to_ms)?);
            from_ms = to_ms + 1;
        }
        rows.truncate(request.limit);
    } else {
        let mut to_ms = last_ms;
        while to_ms >= first_ms && rows.len() < request.limit {
            let from_ms = first_ms.max(to_ms - (request.limit - rows.len()) as i64 * length + 1);
            let mut earlier = seen(from_ms, to_ms)?;
            earlier.append(&mut rows);
            rows = earlier;
            to_ms = from_ms - 1;
        }
        rows.drain(..rows.len().saturating_sub(request.limit));
    }
    Ok(kline_rows(kind, spec, &rows))
}

/// A symbol that was listed by `now_ms`; before that the exchange knows no such name.
pub(super) fn symbol_spec<'a>(
    market: &'a SimulatedMarket,
    symbol: &Symbol,
    now_ms: i64,
) -> Result<&'a SymbolSpec, ApiError> {
    listed(market, now_ms).find(|s| s.symbol == *symbol).ok_or_else(ApiError::invalid_symbol)
}

/// Decimals of prices, volumes and quote volumes: eight everywhere on spot; on USD-M those of tick and step, and five.
pub(super) fn decimals(kind: MarketKind, spec: &SymbolSpec, c: &Candle) -> (usize, usize, usize) {
    match kind {
        MarketKind::Spot => (8, 8, 8),
        MarketKind::Um => (spec.decimals_at(c.low) as usize, spec.volume_decimals as usize, 5),
    }
}

fn kline_rows(kind: MarketKind, spec: &SymbolSpec, rows: &[Candle]) -> String {
    let mut body = String::with_capacity(rows.len() * 180 + 2);
    body.push('[');
    for (i, c) in rows.iter().enumerate() {
        let (price, volume, quote) = decimals(kind, spec, c);
        let comma = if i == 0 { "" } else { "," };
        let written = write!(
            body,
            "{comma}[{},\"{:.price$}\",\"{:.price$}\",\"{:.price$}\",\"{:.price$}\",\"{:.volume$}\",{},\"{:.quote$}\",{},\
             \"{:.volume$}\",\"{:.quote$}\",\"0\"]",
            c.open_time_ms,
            c.open,
            c.high,
            c.low,
            c.close,
            c.volume,
            c.close_time_ms,
            c.quote_volume,
            c.trade_count,
            c.taker_buy_volume,
            c.taker_buy_quote_volume,
        );
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    body.push(']');
    body
}

/// Candles of the premium index up to `now_ms`: the oldest from the start asked for, or the newest.
pub(super) fn premium(market: &SimulatedMarket, request: &KlinesRequest, now_ms: i64) -> Result<String, ApiError> {
    let spec = symbol_spec(market, &request.symbol, now_ms)?;
    let length = request.interval.fixed_ms().unwrap_or(MONTH_MS);
    let to_ms = request.end_ms.unwrap_or(i64::MAX).min(now_ms).saturating_add(1);
    let span = length.saturating_mul(request.limit as i64 + 1);
    let (from_ms, to_ms) = match request.start_ms {
        Some(start_ms) => {
            let start_ms = start_ms.max(market.spec().start_ms);
            (start_ms, to_ms.min(start_ms.saturating_add(span)))
        }
        None => (to_ms.saturating_sub(span), to_ms),
    };
    let mut rows = market.premium(&spec.symbol, request.interval, from_ms, to_ms)?;
    if request.start_ms.is_some() {
        rows.truncate(request.limit);
    } else {
        rows.drain(..rows.len().saturating_sub(request.limit));
    }
    let rows: Vec<String> = rows.iter().map(|row| premium_row(request.interval, row, "\"")).collect();
    Ok(format!("[[{}]]", rows.join("],[")).replace("[[]]", "[]"))
}

/// A row of twelve of the premium index, numbers between quotes or not.
pub(super) fn premium_row(interval: Interval, row: &PremiumCandle, quote: &str) -> String {
    let candle = premium_candle(interval, row);
    let prices = [row.open, row.high, row.low, row.close].map(|price| format!("{quote}{price:.8}{quote}")).join(",");
    format!(
        "{},{prices},{quote}0{quote},{},{quote}0{quote},{},{quote}0{quote},{quote}0{quote},{quote}0{quote}",
        row.open_time_ms, candle.close_time_ms, candle.trade_count
    )
}

/// Funding payments up to `now_ms`: the oldest from the start asked for, or the newest.
pub(super) fn funding(market: &SimulatedMarket, request: &FundingRequest, now_ms: i64) -> Result<String, ApiError> {
    let symbols: Vec<Symbol> = match &request.symbol {
        Some(symbol) => vec![symbol_spec(market, symbol, now_ms)?.symbol.clone()],
        None => listed(market, now_ms).map(|s| s.symbol.clone()).collect(),
    };
    let to_ms = request.end_ms.unwrap_or(i64::MAX).min(now_ms);
    let from_ms = request.start_ms.unwrap_or(0);
    let mut rows: Vec<(i64, Value)> = Vec::new();
    for symbol in symbols {
        for paid in market.funding_rates(&symbol, from_ms, to_ms)? {
            let at = market.seen(&symbol, market.spec().base, (paid.time_ms, paid.time_ms), now_ms, |_, c| Some(c))?;
            let price = at.first().map_or(0.0, |candle| candle.open);
            let row = json!({
                "symbol": symbol.as_str(), "fundingTime": paid.time_ms,
                "fundingRate": format!("{:.8}", paid.rate), "markPrice": format!("{price:.8}"),
            });
            rows.push((paid.time_ms, row));
        }
    }
    rows.sort_by_key(|(time_ms, _)| *time_ms);
    if request.start_ms.is_some() {
        rows.truncate(request.limit);
    } else {
        rows.drain(..rows.len().saturating_sub(request.limit));
    }
    Ok(Value::Array(rows.into_iter().map(|(_, row)| row).collect()).to_string())
}

/// A part of the metrics up to `now_ms`: the newest rows of what was asked for.
pub(super) fn metric(
    market: &SimulatedMarket,
    metric: Metric,
    request: &MetricRequest,
    now_ms: i64,
) -> Result<String, ApiError> {
    let symbol = &symbol_spec(market, &request.symbol, now_ms)?.symbol;
    let to_ms = request.end_ms.unwrap_or(i64::MAX).min(now_ms);
    let span_ms = request.period_ms.saturating_mul(request.limit as i64);
    let from_ms = request.start_ms.unwrap_or(to_ms.saturating_sub(span_ms));
    let mut rows = metric_rows(market, symbol, metric, (from_ms, to_ms), now_ms)?;
    rows.retain(|row| row.time_ms % request.period_ms == 0);
    rows.drain(..rows.len().saturating_sub(request.limit));
    let written = rows.iter().map(|row| {
        let (value, at) = (row.values[0], row.time_ms);
        match metric {
            Metric::OpenInterest => json!({
                "symbol": symbol.as_str(), "sumOpenInterest": format!("{value:.8}"),
                "sumOpenInterestValue": format!("{:.8}", row.values[1]), "timestamp": at,
            }),
            Metric::TopTraderAccounts | Metric::TopTraderPositions | Metric::Accounts => json!({
                "symbol": symbol.as_str(), "longShortRatio": format!("{value:.4}"),
                "longAccount": format!("{:.4}", value / (1.0 + value)),
                "shortAccount": format!("{:.4}", 1.0 / (1.0 + value)), "timestamp": at,
            }),
            // Some routes write times as text.
            Metric::TakerVolume => json!({
                "buySellRatio": format!("{value:.4}"), "buyVol": format!("{:.4}", 100.0 * value),
                "sellVol": "100.0000", "timestamp": at.to_string(),
            }),
        }
    });
    Ok(Value::Array(written.collect()).to_string())
}

/// The last 24 hours of every symbol that is traded, as far as anybody here reads it.
pub(super) fn tickers(market: &SimulatedMarket, now_ms: i64) -> Result<String, ApiError> {
    const DAY_MS: i64 = 86_400_000;
    let mut rows = Vec::new();
    for spec in listed(market, now_ms).filter(|spec| spec.is_traded(market.spec().start_ms, now_ms)) {
        let hours = market.seen(&spec.symbol, Interval::H1, (now_ms - DAY_MS, now_ms), now_ms, |_, c| Some(c))?;
        let (base, quote) = hours.iter().fold((0.0, 0.0), |(b, q), c| (b + c.volume, q + c.quote_volume));
        rows.push(json!({
            "symbol": spec.symbol.as_str(), "lastPrice": hours.last().map_or(String::new(), |c| format!("{:.8}", c.close)),
            "volume": format!("{base:.8}"), "quoteVolume": format!("{quote:.8}"),
            "openTime": now_ms - DAY_MS, "closeTime": now_ms,
        }));
    }
    Ok(Value::Array(rows).to_string())
}

/// exchangeInfo; spot honours `symbol` and `symbols`, USD-M ignores them.
pub(super) fn exchange_info(
    market: &SimulatedMarket,
    kind: MarketKind,
    params: &Params,
    weight_limit: u32,
    now_ms: i64,
) -> Result<String, ApiError> {
    let mut wanted: Vec<&SymbolSpec> = listed(market, now_ms).collect();
    if kind == MarketKind::Spot {
        if params.get("symbol").is_some() {
            wanted = vec![symbol_spec(market, &params.symbol(kind)?, now_ms)?];
        } else if let Some(list) = params.get("symbols") {
            let names: Vec<Symbol> = serde_json::from_str(list).map_err(|_| ApiError::invalid_symbol())?;
            wanted = names.iter().map(|name| symbol_spec(market, name, now_ms)).collect::<Result<_, _>>()?;
        }
    }
    let limit = |kind: &str, interval: &str, number: u32, limit: u32| json!({ "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit });
    let start_ms = market.spec().start_ms;
    let info =
        |spec: &SymbolSpec| symbol_info(kind, spec, spec.listed_ms.unwrap_or(start_ms), status(kind, spec, now_ms));
    let symbols: Vec<Value> = wanted.into_iter().map(info).collect();
    let body = match kind {
        MarketKind::Spot => json!({
            "timezone": "UTC", "serverTime": now_ms,
            "rateLimits": [
                limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
                limit("ORDERS", "SECOND", 10, 100),
                limit("ORDERS", "DAY", 1, 200_000),
                limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ],
            "exchangeFilters": [], "symbols": symbols, "sors": [],
        }),
        MarketKind::Um => json!({
            "timezone": "UTC", "serverTime": now_ms, "futuresType": "U_MARGINED",
            "rateLimits": [
                limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
                limit("ORDERS", "MINUTE", 1, 1_200),
                limit("ORDERS", "SECOND", 10, 300),
            ],
            "exchangeFilters": [],
            "assets": [{ "asset": "USDT", "marginAvailable": true, "autoAssetExchange": "-10000" }],
            "symbols": symbols,
        }),
    };
    Ok(body.to_string())
}

fn symbol_info(kind: MarketKind, spec: &SymbolSpec, listed_ms: i64, status: &str) -> Value {
    let (base, quote) = assets(&spec.symbol);
    let tick = 1.0 / 10f64.powi(spec.price_decimals as i32);
    let step = 1.0 / 10f64.powi(spec.volume_decimals as i32);
    match kind {
        MarketKind::Spot => json!({
            "symbol": spec.symbol.as_str(), "status": status,
            "baseAsset": base, "baseAssetPrecision": 8,
            "quoteAsset": quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
            "icebergAllowed": true, "ocoAllowed": true, "quoteOrderQtyMarketAllowed": true,
            "allowTrailingStop": true, "cancelReplaceAllowed": true,
            "isSpotTradingAllowed": true, "isMarginTradingAllowed": true,
            "filters": [
                { "filterType": "PRICE_FILTER", "minPrice": format!("{tick:.8}"), "maxPrice": "1000000.00000000",
                  "tickSize": format!("{tick:.8}") },
                { "filterType": "LOT_SIZE", "minQty": format!("{step:.8}"), "maxQty": "9000000.00000000",
                  "stepSize": format!("{step:.8}") },
                { "filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true,
                  "maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 5 },
            ],
            "permissions": [], "permissionSets": [["SPOT", "MARGIN"]],
        }),
        MarketKind::Um => {
            let (price, volume) = (spec.price_decimals as usize, spec.volume_decimals as usize);
            json!({
                "symbol": spec.symbol.as_str(), "pair": spec.symbol.as_str(), "contractType": "PERPETUAL",
                "deliveryDate": 4_133_404_800_000_i64, "onboardDate": listed_ms, "status": status,
                "baseAsset": base, "quoteAsset": quote, "marginAsset": quote,
                "pricePrecision": spec.price_decimals, "quantityPrecision": spec.volume_decimals,
                "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
                "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
                "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
                "filters": [
                    { "filterType": "PRICE_FILTER", "minPrice": format!("{tick:.price$}"), "maxPrice": "1000000",
                      "tickSize": format!("{tick:.price$}") },
                    { "filterType": "LOT_SIZE", "minQty": format!("{step:.volume$}"), "maxQty": "9000000",
                      "stepSize": format!("{step:.volume$}") },
                    { "filterType": "MIN_NOTIONAL", "notional": "5" },
                ],
            })
        }
    }
}
