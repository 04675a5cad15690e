//! What a run comes to: performance, hedged beside plain, by year, by name and leg. Judges nothing.
//!
//! Days run from 00:00 to 00:00 UTC; the first return is the one from the initial capital to the first 00:00 after the
//! window's begin. What lies after the last candle of the panel is no result.

use crate::{
    Benchmark, Hedged, Panel, PortfolioTerms, Track,
    account::{Closed, Gain},
    brief::{daily_returns, ended, finite, known_slots, performance_of},
    hedge::hedge,
};
use candles::{InstrumentId, time::DAY_MS};
use chrono::{DateTime, Datelike};
use engine::{Performance, performance};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A name's stay in one leg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// `long` or `short`.
    pub side: engine::Side,
    /// When it began, UTC ms.
    pub entry_time_ms: i64,
    /// When it ended, or the window did, UTC ms.
    pub exit_time_ms: i64,
    /// Net gain, quote units.
    pub profit: f64,
    /// Net gain over the greatest value that was held.
    pub return_fraction: f64,
    /// Whether the window ended it: it is valued there, and not traded.
    pub open: bool,
}

/// What one instrument gave, as fractions of the initial capital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Gain of its long and short stays, after all costs.
    pub total: f64,
    /// Of its long ones.
    pub long: f64,
    /// Of its short ones.
    pub short: f64,
    /// Fees, slippage and what was borrowed.
    pub costs: f64,
    /// Funding paid, negative when received.
    pub funding: f64,
    /// Sum of what was traded.
    pub traded: f64,
}

/// One calendar year of the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Year {
    /// Which.
    pub year: i32,
    /// Daily returns in it.
    pub days: usize,
    /// Compounded daily returns.
    pub total_return: Option<f64>,
    /// Annualised by sqrt(365).
    pub sharpe_ratio: Option<f64>,
    /// The same, hedged.
    pub hedged_sharpe_ratio: Option<f64>,
    /// Compounded hedged daily returns.
    pub hedged_return: Option<f64>,
    /// Most negative equity / running peak - 1 at midnights of the year.
    pub max_drawdown: Option<f64>,
    /// Mean members of the universe at its rebalances.
    pub mean_members: Option<f64>,
}

/// What portfolios are told by, beside the performance that every strategy has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Statistics of hedged daily returns.
    pub hedged: HedgedFigures,
    /// Statistics of the market's daily returns: equal weight, and BTC where it is there.
    pub equal_weight: ReturnFigures,
    #[allow(missing_docs)]
    pub btc: Option<ReturnFigures>,
    /// Sum of what was traded over equity, both sides, a day.
    pub turnover_per_day: Option<f64>,
    /// Mean over slots of the sum of absolute values held over equity.
    pub mean_gross: Option<f64>,
    /// Mean over slots of the sum of values held over equity, short ones negative.
    pub mean_net: Option<f64>,
    /// Mean number of names held.
    pub mean_names: Option<f64>,
    /// Mean number of members of the universe at rebalances.
    pub mean_members: Option<f64>,
    /// Rebalances, and how many of them held nothing for want of members.
    pub rebalances: usize,
    #[allow(missing_docs)]
    pub empty_rebalances: usize,
    /// Orders that found no candle.
    pub lapsed_orders: u32,
    /// When everything was taken, UTC ms.
    pub liquidated_ms: Option<i64>,
    /// By calendar year.
    pub years: Vec<Year>,
    /// Gain of the long and of the short leg, fractions of the initial capital.
    pub long_gain: f64,
    #[allow(missing_docs)]
    pub short_gain: f64,
    /// By name, the greatest gain first.
    pub attribution: Vec<Attribution>,
}

/// Results of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// As for every strategy. A trade is a name's stay in one leg; its return is over the greatest value that it held.
    pub performance: Performance,
    /// What portfolios are told by beside it.
    #[serde(flatten)]
    pub figures: Figures,
    /// A day's returns each.
    #[serde(skip)]
    pub days: Vec<Hedged>,
    /// Returns of BTCUSDT on the same days; `None` where it has no candle at an end.
    #[serde(skip)]
    pub btc_daily: Vec<Option<f64>>,
    /// Stays, by their begin.
    #[serde(skip)]
    pub stays: Vec<Stay>,
}

/// Statistics of daily returns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ReturnFigures {
    pub total_return: Option<f64>,
    pub sharpe_ratio: Option<f64>,
    pub max_drawdown: Option<f64>,
}

/// Statistics of hedged daily returns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HedgedFigures {
    pub total_return: Option<f64>,
    pub cagr: Option<f64>,
    pub sharpe_ratio: Option<f64>,
    pub sortino_ratio: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub calmar_ratio: Option<f64>,
    pub t_statistic: Option<f64>,
    /// Mean of the betas that the days were hedged with.
    pub mean_beta: Option<f64>,
}

/// Equity after each of the returns, from 1.
fn compounded(returns: &[f64]) -> Vec<f64> {
    let grow = |equity: &mut f64, r: &f64| {
        *equity *= 1.0 + r;
        Some(*equity)
    };
    returns.iter().scan(1.0, grow).collect()
}

impl ReturnFigures {
    fn of(returns: &[f64]) -> Self {
        let curve = compounded(returns);
        Self {
            total_return: curve.last().and_then(|last| finite(last - 1.0)),
            sharpe_ratio: performance::sharpe_ratio(returns),
            max_drawdown: performance::max_drawdown(1.0, curve.iter().copied()),
        }
    }
}

impl Results {
    /// Of a run over `[from_ms, to_ms)`.
    #[must_use]
    pub fn of(track: &Track, panel: &Panel, from_ms: i64, to_ms: i64, terms: &PortfolioTerms) -> Self {
        let slots = known_slots(track, panel, to_ms);
        let first = terms.initial_capital;
        let elapsed_ms = slots.last().map_or(0, |s| s.time_ms - from_ms);
        let elapsed_days = elapsed_ms as f64 / DAY_MS as f64;
        let (first_day_ms, net) = daily_returns(slots, from_ms, first);
        let benchmark = Benchmark::of(panel, first_day_ms, net.len());
        let days = hedge(first_day_ms, &net, &benchmark);
        let hedged: Vec<f64> = days.iter().map(|d| d.hedged).collect();
        let market: Vec<f64> = days.iter().filter_map(|d| d.benchmark).collect();
        let ended = ended(track);
        let mean = |value: fn(&crate::Slot) -> f64| {
            performance::mean(&slots.iter().map(value).filter(|v| v.is_finite()).collect::<Vec<_>>())
        };
        let btc_daily = btc_returns(panel, first_day_ms, net.len());
        let btc: Vec<f64> = btc_daily.iter().copied().flatten().collect();
        let has_btc = bitcoin(panel).is_some();
        let members: Vec<f64> = track.rebalances.iter().map(|r| f64::from(r.members)).collect();
        let attribution = attribution(&track.gains, panel, first);
        let empty = track.rebalances.iter().filter(|r| r.ranked < 2).count();
        let performance = performance_of(slots, &net, &ended, &track.gains, (from_ms, first));
        let figures = Figures {
            hedged: hedged_figures(&hedged, &days),
            equal_weight: ReturnFigures::of(&market),
            btc: has_btc.then(|| ReturnFigures::of(&btc)),
            turnover_per_day: finite(track.turnover / elapsed_days),
            mean_gross: mean(|s| s.gross / s.equity),
            mean_net: mean(|s| s.net / s.equity),
            mean_names: mean(|s| f64::from(s.names)),
            mean_members: performance::mean(&members),
            rebalances: track.rebalances.len(),
            empty_rebalances: empty,
            lapsed_orders: track.lapsed,
            liquidated_ms: track.liquidated_ms,
            years: years(&days, track),
            long_gain: track.gains.values().map(|g| g.long).sum::<f64>() / first,
            short_gain: track.gains.values().map(|g| g.short).sum::<f64>() / first,
            attribution,
        };
        Self { performance, figures, days, btc_daily, stays: stays(&ended, panel) }
    }
}

fn bitcoin(panel: &Panel) -> Option<&crate::PanelInstrument> {
    panel.instruments().iter().find(|i| i.id().symbol.as_str() == "BTCUSDT")
}

fn btc_returns(panel: &Panel, first_ms: i64, days: usize) -> Vec<Option<f64>> {
    let close = |time_ms| {
        let (btc, slot) = (bitcoin(panel)?, panel.slot_closing_at(time_ms)?);
        Some(btc.candles().closes()[btc.candle_by(slot)?])
    };
    let day = |day: usize| {
        let begin_ms = first_ms + day as i64 * DAY_MS;
        Some(close(begin_ms + DAY_MS)? / close(begin_ms)? - 1.0)
    };
    (0..days).map(day).collect()
}

pub(crate) fn hedged_figures(hedged: &[f64], days: &[Hedged]) -> HedgedFigures {
    let curve = compounded(hedged);
    let cagr = if hedged.len() < 2 {
        None
    } else {
        curve.last().and_then(|last| performance::cagr(1.0, *last, hedged.len() as f64))
    };
    let max_drawdown = performance::max_drawdown(1.0, curve.iter().copied());
    HedgedFigures {
        total_return: curve.last().and_then(|last| finite(last - 1.0)),
        cagr,
        sharpe_ratio: performance::sharpe_ratio(hedged),
        sortino_ratio: performance::sortino_ratio(hedged),
        max_drawdown,
        calmar_ratio: cagr.zip(max_drawdown).and_then(|(c, d)| finite(c / d.abs())),
        t_statistic: performance::t_statistic(hedged),
        mean_beta: performance::mean(&days.iter().map(|d| d.beta).collect::<Vec<_>>()),
    }
}

fn years(days: &[Hedged], track: &Track) -> Vec<Year> {
    let year_of = |time_ms: i64| DateTime::from_timestamp_millis(time_ms).unwrap_or_default().year();
    days.chunk_by(|a, b| year_of(a.day_ms) == year_of(b.day_ms))
        .map(|days| {
            let year = year_of(days[0].day_ms);
            let net: Vec<f64> = days.iter().map(|d| d.net).collect();
            let hedged: Vec<f64> = days.iter().map(|d| d.hedged).collect();
            let (plain, without) = (ReturnFigures::of(&net), ReturnFigures::of(&hedged));
            let members = track.rebalances.iter().filter(|r| year_of(r.time_ms) == year).map(|r| f64::from(r.members));
            Year {
                year,
                days: days.len(),
                total_return: plain.total_return,
                sharpe_ratio: plain.sharpe_ratio,
                hedged_sharpe_ratio: without.sharpe_ratio,
                hedged_return: without.total_return,
                max_drawdown: plain.max_drawdown,
                mean_members: performance::mean(&members.collect::<Vec<_>>()),
            }
        })
        .collect()
}

fn stays(ended: &[(Closed, bool)], panel: &Panel) -> Vec<Stay> {
    let stay = |(closed, open): &(Closed, bool)| Stay {
        instrument: panel.instruments()[closed.instrument as usize].id().clone(),
        side: if closed.long { engine::Side::Long } else { engine::Side::Short },
        entry_time_ms: closed.entry_ms,
        exit_time_ms: closed.exit_ms,
        profit: closed.profit,
        return_fraction: closed.return_fraction(),
        open: *open,
    };
    ended.iter().map(stay).collect()
}

fn attribution(gains: &BTreeMap<u32, Gain>, panel: &Panel, capital: f64) -> Vec<Attribution> {
    let of = |(number, gain): (&u32, &Gain)| Attribution {
        instrument: panel.instruments()[*number as usize].id().clone(),
        total: (gain.long + gain.short) / capital,
        long: gain.long / capital,
        short: gain.short / capital,
        costs: (gain.fees + gain.slippage + gain.borrow) / capital,
        funding: gain.funding / capital,
        traded: gain.traded / capital,
    };
    let mut all: Vec<Attribution> = gains.iter().map(of).collect();
    all.sort_by(|a, b| b.total.total_cmp(&a.total));
    all
}
