//! Wire forms of figures, trades and times: what clients hold on to, whatever becomes of the types inside.

use candles::time::rfc3339;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use engine::{DailyEquity, Performance, Trade};
use serde::Serialize;
use utoipa::ToSchema;

/// Performance over a window, net of fees, slippage and funding. What is undefined is null. Ratios are annualised by
/// the root of 365 from daily returns.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Metrics {
    /// Mean / standard deviation of daily returns x sqrt(365).
    sharpe_ratio: Option<f64>,
    /// Trades with a net profit / trades.
    win_rate: Option<f64>,
    /// Most negative equity / running peak - 1: a negative fraction.
    max_drawdown: Option<f64>,
    /// Last equity / first - 1.
    total_return: Option<f64>,
    /// Closed trades, those that the window's end closed included.
    num_trades: u32,
    /// Mean time from entry to exit, hours.
    avg_trade_duration: Option<f64>,
    /// The same as `avg_trade_duration`.
    avg_trade_duration_hours: Option<f64>,
    /// The same as `num_trades`.
    total_trades: u32,
    /// Of them, those that the window's end closed.
    end_of_window_trades: u32,
    /// 100 x `total_return`.
    total_return_pct: Option<f64>,
    /// (Last / first)^(365 / days) - 1.
    cagr: Option<f64>,
    /// Mean of daily returns / root mean square of the negative ones x sqrt(365).
    sortino_ratio: Option<f64>,
    /// `cagr` / abs(`max_drawdown`).
    calmar_ratio: Option<f64>,
    /// Net profits / abs(net losses); null without a loss.
    profit_factor: Option<f64>,
    /// Mean net return of a trade.
    expectancy: Option<f64>,
    /// sqrt(n) x mean / standard deviation of net trade profits.
    sqn: Option<f64>,
    /// Share of candles in a position.
    exposure: Option<f64>,
    /// Student's t of daily returns against zero.
    t_statistic: Option<f64>,
    /// Daily returns counted.
    days: u32,
    /// Quote units.
    fees: f64,
    /// Quote units.
    slippage: f64,
    /// Quote units, positive when paid.
    funding: f64,
    /// By calendar month.
    monthly_returns: Vec<Monthly>,
}

/// Return of a calendar month.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Monthly {
    /// Such as `2024-04`.
    month: String,
    /// Fraction.
    r#return: f64,
}

impl From<&Performance> for Metrics {
    fn from(p: &Performance) -> Self {
        let month = |m: &engine::MonthlyReturn| Monthly { month: m.month.to_string(), r#return: m.return_fraction };
        Self {
            sharpe_ratio: p.sharpe_ratio,
            win_rate: p.win_rate,
            max_drawdown: p.max_drawdown,
            total_return: p.total_return,
            num_trades: p.total_trades,
            avg_trade_duration: p.avg_trade_duration_hours,
            avg_trade_duration_hours: p.avg_trade_duration_hours,
            total_trades: p.total_trades,
            end_of_window_trades: p.end_of_window_trades,
            total_return_pct: p.total_return_pct,
            cagr: p.cagr,
            sortino_ratio: p.sortino_ratio,
            calmar_ratio: p.calmar_ratio,
            profit_factor: p.profit_factor,
            expectancy: p.expectancy,
            sqn: p.sqn,
            exposure: p.exposure,
            t_statistic: p.t_statistic,
            days: p.days,
            fees: p.fees,
            slippage: p.slippage,
            funding: p.funding,
            monthly_returns: p.monthly_returns.iter().map(month).collect(),
        }
    }
}

/// A closed trade.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TradeView {
    symbol: String,
    /// `long` or `short`.
    #[schema(value_type = String)]
    side: engine::Side,
    entry_time: Option<String>,
    entry_price: f64,
    exit_time: Option<String>,
    exit_price: f64,
    /// Units at entry.
    quantity: f64,
    /// Net, quote units.
    profit: f64,
    /// Net profit / what was put in.
    return_fraction: f64,
    /// Quote units.
    fees: f64,
    /// Quote units.
    slippage: f64,
    /// Quote units.
    funding: f64,
    /// What the stop would have cost, quote units; null without one.
    risk: Option<f64>,
    /// `rule`, `stop_loss`, `take_profit`, ...
    #[schema(value_type = String)]
    exit_reason: engine::ExitReason,
    /// Candles held.
    bars: u32,
}

impl From<&Trade> for TradeView {
    fn from(t: &Trade) -> Self {
        Self {
            symbol: t.symbol.to_string(),
            side: t.side,
            entry_time: rfc3339(t.entry_time_ms),
            entry_price: t.entry_price,
            exit_time: rfc3339(t.exit_time_ms),
            exit_price: t.exit_price,
            quantity: t.quantity,
            profit: t.profit,
            return_fraction: t.return_fraction,
            fees: t.fees,
            slippage: t.slippage,
            funding: t.funding,
            risk: t.risk,
            exit_reason: t.exit_reason,
            bars: t.bars,
        }
    }
}

/// Equity at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct EquityPoint {
    /// The window's start, each 00:00 UTC, and the window's end.
    time: Option<String>,
    /// Quote units.
    equity: f64,
    /// Equity / the highest of these points so far - 1: 0 or negative.
    drawdown: f64,
}

/// The points of a curve with their drawdowns.
pub(super) fn equity_points(curve: &[DailyEquity]) -> Vec<EquityPoint> {
    let mut peak = f64::MIN_POSITIVE;
    let point = |point: &DailyEquity| {
        peak = peak.max(point.equity);
        EquityPoint { time: rfc3339(point.time_ms), equity: point.equity, drawdown: point.equity / peak - 1.0 }
    };
    curve.iter().map(point).collect()
}

/// A date (UTC midnight) or a time: `2024-04-01`, `2024-04-01T12:00:00`, `2024-04-01T12:00:00Z`. UTC ms.
pub(super) fn time_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let midnight = || Some(text.parse::<NaiveDate>().ok()?.and_time(chrono::NaiveTime::MIN).and_utc());
    let naive = || {
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        Some(forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?.and_utc())
    };
    let zoned = || Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc());
    let time = midnight().or_else(zoned).or_else(naive);
    let time = time.ok_or("a date such as 2024-04-01 or a time such as 2024-04-01T12:00:00Z is expected")?;
    // Exchanges of this kind are younger than 2000; what lies a century ahead is a slip.
    let ms = time.timestamp_millis();
    if (946_684_800_000..4_102_444_800_000).contains(&ms) {
        Ok(ms)
    } else {
        Err("a year from 2000 to 2099 is expected".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_people_send() {
        for text in [
            "2024-04-01",
            "2024-04-01T00:00:00Z",
            "2024-04-01T00:00:00",
            "2024-04-01 00:00:00",
            "2024-04-01T02:00:00+02:00",
        ] {
            assert_eq!(time_ms(text), Ok(1_711_929_600_000), "{text}");
        }
        for text in ["", "01.04.2024", "1024-04-01", "+262142-01-01", "2024-13-01"] {
            assert!(time_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn drawdowns_are_from_the_highest_point_so_far() {
        let curve = [100.0, 120.0, 90.0, 130.0].map(|equity| DailyEquity { time_ms: 0, equity });
        let drawdowns: Vec<f64> = equity_points(&curve).iter().map(|p| p.drawdown).collect();
        assert_eq!(drawdowns, [0.0, 0.0, -0.25, 0.0]);
    }
}
