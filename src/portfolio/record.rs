//! What is kept of a run once it is over: its figures, its days, who weighed how much, and every stay. Enough for whoever
//! tells of it later, without candles; no slots and no single targets.

use crate::{Figures, Panel, Rebalance, Results, Slot, Stay, Track};
use candles::{InstrumentId, time::DAY_MS};
use engine::DailyEquity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names of [`WeightMap`]: those with the greatest mean absolute weight.
const NAMES: usize = 30;
/// Columns of [`WeightMap`].
const COLUMNS: usize = 96;

/// What is kept of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Instruments that the market had, those of no universe included.
    pub instruments: u32,
    /// What portfolios are told by.
    pub figures: Figures,
    /// Whole days from 00:00 to 00:00 UTC.
    pub days: Days,
    /// Target weights by name and time.
    pub weights: WeightMap,
    /// By their begin.
    pub stays: Vec<Stay>,
}

/// A run's days as columns of one length. What is undefined on a day is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Days {
    /// 00:00 UTC at the day's beginning, ms.
    pub day_ms: Vec<i64>,
    /// Return after costs.
    pub net: Vec<f64>,
    /// The same less beta x the market's.
    pub hedged: Vec<f64>,
    /// Return of the equal-weight market.
    pub equal_weight: Vec<Option<f64>>,
    /// Return of BTCUSDT.
    pub btc: Vec<Option<f64>>,
    /// Sum of the absolute values held at the day's end, as a share of equity.
    pub gross: Vec<Option<f64>>,
    /// Sum of the values held then, short ones negative, as a share of equity.
    pub exposure: Vec<Option<f64>>,
    /// What was traded in the day, as a share of equity at the decisions, both sides.
    pub turnover: Vec<f64>,
}

/// Mean target weights by name and time: rebalances one after the other in groups of equal numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightMap {
    /// The first rebalance, UTC ms; `None` where there is none.
    pub from_ms: Option<i64>,
    /// The last one.
    pub to_ms: Option<i64>,
    /// Names that ever had a weight.
    pub of: u32,
    /// The greatest by their mean absolute weight.
    pub names: Vec<NameWeights>,
}

/// One name's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameWeights {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Mean target of each group of rebalances, a fraction of equity; negative: short.
    pub weights: Vec<f64>,
}

impl Record {
    /// Of a run and what it came to.
    #[must_use]
    pub fn of(track: &Track, results: &Results, panel: &Panel) -> Self {
        Self {
            instruments: u32::try_from(panel.instruments().len()).unwrap_or(u32::MAX),
            figures: results.figures.clone(),
            days: Days::of(&track.slots, results),
            weights: WeightMap::of(&track.rebalances, panel),
            stays: results.stays.clone(),
        }
    }
}

impl Days {
    fn of(slots: &[Slot], results: &Results) -> Self {
        let mut days = Self::default();
        for (day, btc) in results.days.iter().zip(&results.btc_daily) {
            let end_ms = day.day_ms + DAY_MS;
            let by_end = slots.partition_point(|s| s.time_ms <= end_ms);
            let of_day = &slots[slots.partition_point(|s| s.time_ms <= day.day_ms)..by_end];
            let share = |of: fn(&Slot) -> f64| {
                let last = by_end.checked_sub(1).map(|last| &slots[last])?;
                Some(of(last) / last.equity).filter(|share| share.is_finite())
            };
            days.day_ms.push(day.day_ms);
            days.net.push(day.net);
            days.hedged.push(day.hedged);
            days.equal_weight.push(day.benchmark);
            days.btc.push(*btc);
            days.gross.push(share(|s| s.gross));
            days.exposure.push(share(|s| s.net));
            days.turnover.push(of_day.iter().map(|s| s.turnover).sum());
        }
        days
    }
}

impl WeightMap {
    fn of(rebalances: &[Rebalance], panel: &Panel) -> Self {
        let columns = COLUMNS.min(rebalances.len());
        let mut sums: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        let mut counts = vec![0.0; columns];
        for (i, rebalance) in rebalances.iter().enumerate() {
            let column = i * columns / rebalances.len();
            counts[column] += 1.0;
            for (instrument, target) in &rebalance.targets {
                sums.entry(*instrument).or_insert_with(|| vec![0.0; columns])[column] += target;
            }
        }
        for row in sums.values_mut() {
            row.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count);
        }
        let weight = |row: &[f64]| row.iter().map(|w| w.abs()).sum::<f64>();
        let mut rows: Vec<(u32, Vec<f64>)> = sums.into_iter().collect();
        let of = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        rows.sort_by(|a, b| weight(&b.1).total_cmp(&weight(&a.1)));
        rows.truncate(NAMES);
        let name = |(number, weights): (u32, Vec<f64>)| NameWeights {
            instrument: panel.instruments()[number as usize].id().clone(),
            weights,
        };
        Self {
            from_ms: rebalances.first().map(|r| r.time_ms),
            to_ms: rebalances.last().map(|r| r.time_ms),
            of,
            names: rows.into_iter().map(name).collect(),
        }
    }
}

/// Equity at the window's begin, at each 00:00 UTC in it, and at its last slot.
#[must_use]
pub fn daily_equity(slots: &[Slot], from_ms: i64, initial_capital: f64) -> Vec<DailyEquity> {
    let mut points = vec![DailyEquity { time_ms: from_ms, equity: initial_capital }];
    let last_ms = slots.last().map(|s| s.time_ms);
    let kept = slots.iter().filter(|s| s.time_ms % DAY_MS == 0 || Some(s.time_ms) == last_ms);
    points.extend(kept.map(|s| DailyEquity { time_ms: s.time_ms, equity: s.equity }));
    points
}
