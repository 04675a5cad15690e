//! Edges of the cross-section planted into candles that are there: each day every member drifts by its rank at the day's
//! beginning, so that whoever knows the edge earns a stated Sharpe ratio before costs.
//!
//! Never draws a random number; volumes in money, times and payments stay.

use crate::weighing::deviation;
use candles::{Candle, CandleSeries, time::DAY_MS};
use portfolio::Panel;
use protocol::NullPanelError;
use simulated::{
    EdgeSpec,
    ranks::{self, DayTotals},
};

/// Days of a year.
const YEAR: f64 = 365.0;

/// A name's days, in order of the panel's.
struct Name {
    /// Totals of those on which it has candles, as they were.
    days: Vec<Option<DayTotals>>,
    /// The same with what was planted so far.
    planted: Vec<Option<DayTotals>>,
    /// First day with candles.
    first: usize,
    /// Usual deviation of its change in logarithms from one day to the next.
    deviation: f64,
    /// What was added to its logarithmic price, at the beginning of each day and at the end of the last.
    added: Vec<f64>,
}

impl Name {
    /// Goes through a day, in which so much is added to its logarithmic price.
    fn goes_on(&mut self, day: usize, drift: f64) {
        self.added[day + 1] = self.added[day] + drift;
        let by = self.added[day + 1].exp();
        self.planted[day] =
            self.days[day].map(|DayTotals { close, volume }| DayTotals { close: close * by, volume: volume / by });
    }
}

/// The panel with these edges in it. Edges of symbols (which rank nothing) plant nothing.
///
/// # Errors
/// Where a price becomes none.
pub(crate) fn planted(panel: &Panel, edges: &[EdgeSpec]) -> Result<Panel, NullPanelError> {
    let Some(first_day) = panel.opens_ms().first().map(|ms| ms.div_euclid(DAY_MS)) else { return Ok(panel.clone()) };
    let last_day = panel.opens_ms().last().map_or(first_day, |ms| ms.div_euclid(DAY_MS));
    let count = usize::try_from(last_day - first_day + 1).unwrap_or(0);
    let day_of = |ms: i64| (ms.div_euclid(DAY_MS) - first_day) as usize;
    let mut names: Vec<Name> = panel.instruments().iter().map(|i| name(i.candles(), count, day_of)).collect();
    let edges: Vec<(&EdgeSpec, f64)> = edges
        .iter()
        .filter(|edge| edge.kind.ranks())
        .map(|edge| (edge, ideal_deviation(&names, edge, count)))
        .collect();
    for day in 0..count {
        let now_ms = (first_day + day as i64) * DAY_MS;
        let mut drifts = vec![0.0; names.len()];
        for (edge, ideal) in &edges {
            if now_ms < edge.start_ms || edge.end_ms.is_some_and(|end| now_ms >= end) {
                continue;
            }
            let (members, scores) = scores(&names, edge, day);
            let (weights, middle) = (ranks::weights(&scores), ranks::from_middle(&scores));
            let each = || members.iter().zip(&weights).zip(&middle);
            let earned: f64 = each().map(|((at, w), x)| w * x * names[*at].deviation).sum();
            // What the ideal weights earn a day is the Sharpe ratio's share of their usual deviation.
            let scale = if earned > 0.0 { edge.sharpe / YEAR.sqrt() * ideal / earned } else { 0.0 };
            each().for_each(|((at, _), x)| drifts[*at] += x * names[*at].deviation * scale);
        }
        names.iter_mut().zip(drifts).for_each(|(name, drift)| name.goes_on(day, drift));
    }
    panel.remade(|number| {
        let instrument = &panel.instruments()[number];
        let candles = drifted(instrument.candles(), &names[number].added, day_of)
            .map_err(|why| NullPanelError::Candles { name: instrument.id().to_string(), why })?;
        Ok((candles, instrument.funding().to_vec()))
    })
}

fn name(candles: &CandleSeries, count: usize, day_of: impl Fn(i64) -> usize) -> Name {
    let mut days: Vec<Option<DayTotals>> = vec![None; count];
    for i in 0..candles.len() {
        let day = &mut days[day_of(candles.open_times_ms()[i])];
        let volume = day.map_or(0.0, |day| day.volume) + candles.volumes()[i];
        *day = Some(DayTotals { close: candles.closes()[i], volume });
    }
    let change = |pair: &[Option<DayTotals>]| Some((pair[1]?.close / pair[0]?.close).ln());
    let changes: Vec<f64> = days.windows(2).filter_map(change).collect();
    Name {
        first: days.iter().position(Option::is_some).unwrap_or(count),
        planted: days.clone(),
        days,
        deviation: deviation(&changes),
        added: vec![0.0; count + 1],
    }
}

/// Who is ranked at the beginning of a day, and by what: names with candles on it that are listed for long enough and have all
/// days that the edge looks at.
fn scores(names: &[Name], edge: &EdgeSpec, day: usize) -> (Vec<usize>, Vec<f64>) {
    let (back, listed) = (edge.kind.days() as usize, edge.kind.listed_days() as usize);
    let found = names.iter().enumerate().filter_map(|(at, name)| {
        name.days[day]?;
        let first = day.checked_sub(back.max(listed)).filter(|first| *first >= name.first)?;
        let days: Vec<DayTotals> = name.planted[first..day].iter().copied().collect::<Option<_>>()?;
        Some((at, ranks::score(edge.kind, |n| days[days.len() - 1 - n])))
    });
    found.filter(|(_, score)| score.is_finite()).unzip()
}

/// Usual deviation of what the edge's ideal weights earn in a day where nothing is planted.
fn ideal_deviation(names: &[Name], edge: &EdgeSpec, count: usize) -> f64 {
    let earned = |day: usize| {
        let (members, scores) = scores(names, edge, day);
        let change = |at: usize| Some((names[at].days[day]?.close / names[at].days[day - 1]?.close).ln());
        let earned = members.iter().zip(ranks::weights(&scores)).map(|(at, w)| w * change(*at).unwrap_or(0.0));
        (members.len() > 1).then(|| earned.sum::<f64>())
    };
    deviation(&(1..count).filter_map(earned).collect::<Vec<_>>())
}

/// Candles with this added to their logarithmic prices: a day's share grows evenly with its candles.
fn drifted(old: &CandleSeries, added: &[f64], day_of: impl Fn(i64) -> usize) -> Result<CandleSeries, String> {
    let mut new = CandleSeries::new(old.interval());
    let times = old.open_times_ms();
    let mut at = 0;
    while at < times.len() {
        let day = day_of(times[at]);
        let of_day = times[at..].iter().take_while(|ms| day_of(**ms) == day).count();
        let drift = added[day + 1] - added[day];
        for k in 0..of_day {
            let candle = old.candle(at + k);
            let by = |share: usize| (added[day] + drift * share as f64 / of_day as f64).exp();
            let (first, last) = (by(k), by(k + 1));
            let (open, close) = (candle.open * first, candle.close * last);
            new.push(&Candle {
                open,
                high: (candle.high * first.max(last)).max(open).max(close),
                low: (candle.low * first.min(last)).min(open).min(close),
                close,
                volume: candle.volume / last,
                taker_buy_volume: candle.taker_buy_volume / last,
                ..candle
            })
            .map_err(|error| error.to_string())?;
        }
        at += of_day;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Interval, MarketKind};
    use genome::{AnyStrategy, random::Seed};
    use portfolio::PortfolioTerms;
    use protocol::{MarketEvaluator, NullKind, null_panel};
    use search::Evaluator as _;
    use simulated::{EdgeKind, MarketSpec, SimulatedMarket};

    const START_MS: i64 = 1_546_300_800_000;
    const DAYS: u32 = 1_400;

    fn panel(seed: u64) -> Panel {
        let market = SimulatedMarket::new(MarketSpec::coins(Seed(seed), START_MS, 24, DAYS).unwrap()).unwrap();
        let whole = protocol::calibration::panel(&market, START_MS, START_MS + i64::from(DAYS) * DAY_MS).unwrap();
        null_panel(&whole, NullKind::Time, Seed(seed)).unwrap()
    }

    fn edge(kind: EdgeKind, sharpe: f64) -> EdgeSpec {
        EdgeSpec { interval: Interval::D1, ..EdgeSpec::lasting(kind, Vec::new(), sharpe) }
    }

    /// Annual Sharpe ratio, before costs, of whoever knows the edge.
    fn earned(panel: &Panel, kind: EdgeKind) -> f64 {
        let ranking: AnyStrategy = kind.ideal_ranking().unwrap().parse().unwrap();
        let free =
            engine::Costs { fee_fraction: 0.0, slippage: engine::Slippage::Fixed { bps: 0.0 }, ..Default::default() };
        let terms = PortfolioTerms { costs: free, ..PortfolioTerms::default() };
        let window = (START_MS + 100 * DAY_MS, START_MS + i64::from(DAYS) * DAY_MS);
        let market = MarketEvaluator::new(panel.clone().into(), window, terms).unwrap();
        let outcome = market.evaluate(&[ranking]).pop().unwrap().unwrap();
        outcome.performance.sharpe_ratio.unwrap()
    }

    #[test]
    fn who_knows_a_planted_edge_earns_its_sharpe_ratio_more() {
        // Another program than the one that planted it: the engine, with the edge's own strategy.
        let kinds = [
            EdgeKind::RankMomentum { days: 10 },
            EdgeKind::RankReversal { days: 2 },
            EdgeKind::RankVolume { days: 2, against: 30 },
        ];
        for (kind, seed) in kinds.into_iter().zip(1..) {
            let before = panel(seed);
            let plain = earned(&before, kind);
            for sharpe in [1.5, 6.0] {
                let gained = earned(&planted(&before, &[edge(kind, sharpe)]).unwrap(), kind) - plain;
                assert!((gained - sharpe).abs() < 0.35 * sharpe, "{kind} of {sharpe}: {plain} and {gained} more");
            }
        }
    }

    #[test]
    fn what_is_not_planted_stays_and_an_edge_ends() {
        let before = panel(5);
        assert_eq!(before.market(), MarketKind::Spot);
        let nothing = planted(&before, &[]).unwrap();
        let kind = EdgeKind::RankMomentum { days: 10 };
        let end_ms = START_MS + 700 * DAY_MS;
        let after = planted(&before, &[EdgeSpec { end_ms: Some(end_ms), ..edge(kind, 5.0) }]).unwrap();
        let mut moved = 0;
        for ((a, b), c) in before.instruments().iter().zip(nothing.instruments()).zip(after.instruments()) {
            assert_eq!(a.candles(), b.candles());
            let (a, c) = (a.candles(), c.candles());
            let change = |candles: &CandleSeries, i: usize| (candles.closes()[i] / candles.opens()[i]).ln();
            for i in 0..a.len() {
                let differs = (change(a, i) - change(c, i)).abs();
                let planted = a.open_times_ms()[i] < end_ms;
                assert!(differs < if planted { 0.05 } else { 1e-9 }, "{differs}");
                moved += usize::from(differs > 1e-6);
                assert_eq!(a.candle(i).quote_volume, c.candle(i).quote_volume);
            }
        }
        assert!(moved > 10_000, "{moved}");
    }
}
