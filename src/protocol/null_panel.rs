//! Null markets for strategies that rank the market, from the panel that a search looked at. A ranking may live on what
//! follows what in time, and on which name does it.
//!
//! - **In time**: what happened in a slot happens in another one, upright or mirrored by a coin's fall, the same for all names:
//!   each slot's cross-section stays and no past tells of a future. Without the coin a name that did well in a block would do
//!   so in every part of it, and look-backs of months would find that. A name without a candle in the other slot gets one of
//!   its own that is left over. A coin between r and -r in logarithms gains ln cosh r on average, more where prices move
//!   more, and that could be ranked by: it is taken off, so that no name is expected to gain anything.
//! - **Mirrored**: the same with each slot in its place. What follows what is left of the sizes of moves, and nothing of their
//!   signs. As candles come, what was there stays as it was to the bit: for a placebo that goes on for years.
//! - **Of names**: in each short block of time the members of a universe trade their paths. Every slot has the returns that
//!   it had, so has the market, and each path stays whole within a block; what was known of a name says nothing of it.
//!
//! Payments go with the moves, volumes in money with the candle in time and with the name otherwise. What is drawn depends
//! on the seed, times and names alone.

use super::null::{NO_LOGARITHM, bars, draw};
use candles::{Candle, CandleSeries, FundingRate, time::DAY_MS};
use evidence::null_market::Move;
use genome::{Universe, random::Seed};
use portfolio::{Members, Panel, PanelError};
use std::{collections::BTreeMap, ops::Range};

/// Slots trade places within blocks of so long: a market's character changes from year to year, and few names outlive more.
const BLOCK_MS: i64 = 365 * DAY_MS;

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullKind {
    /// The order in time.
    Time,
    /// What the past says of the signs of moves.
    Mirrored,
    /// Which name is which.
    Names {
        /// Length of a block: no longer than from one rebalance to the next.
        block_ms: i64,
        /// Who trades paths: its members when a block begins.
        universe: Universe,
    },
}

/// Why a panel has no null market.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NullPanelError {
    #[error("the candles of {name} have no null market: {why}")]
    Candles { name: String, why: String },
    #[error(transparent)]
    Panel(#[from] PanelError),
}

/// The null market of a panel.
///
/// # Errors
/// Prices so far apart that a null candle would be none.
pub fn null_panel(panel: &Panel, kind: NullKind, seed: Seed) -> Result<Panel, NullPanelError> {
    let fail = |number: usize, why: String| NullPanelError::Candles {
        name: panel.instruments()[number].id().to_string(),
        why,
    };
    let moves: Vec<Vec<Move>> = panel
        .instruments()
        .iter()
        .enumerate()
        .map(|(number, i)| bars(i.candles()).moves().ok_or_else(|| fail(number, NO_LOGARITHM.to_owned())))
        .collect::<Result<_, _>>()?;
    match kind {
        NullKind::Time | NullKind::Mirrored => {
            let shuffles = kind == NullKind::Time;
            let order = |label: &str| match shuffles {
                true => orders(panel, seed, label),
                false => (0..panel.opens_ms().len() as u32).collect(),
            };
            let (within, gaps) = (order("within"), order("gaps"));
            panel.remade(|number| {
                let instrument = &panel.instruments()[number];
                let (within, gaps) = (sources(instrument.slots(), &within), sources(instrument.slots(), &gaps));
                let slot_ms = |candle: usize| instrument.candles().open_times_ms()[candle];
                let mirrored = |candle: usize| {
                    let own = moves[number][candle - 1];
                    let flips = draw(seed, "mirror", slot_ms(candle)) & 1 == 1;
                    if flips { own.mirrored() } else { own }
                };
                let moved = within.iter().zip(&gaps).map(|(&w, &g)| fair(Move { gap: mirrored(g).gap, ..mirrored(w) }));
                // What was traded in a candle goes with what happened in it.
                let volumes: Vec<usize> = std::iter::once(0).chain(within.iter().copied()).collect();
                let candles = made(instrument.candles(), moved, &volumes).map_err(|why| fail(number, why))?;
                let payments = instrument.funding();
                Ok((candles, if shuffles { shuffled_payments(payments, seed) } else { payments.to_vec() }))
            })
        }
        NullKind::Names { block_ms, universe } => {
            let (walks, paths) = swapped(panel, seed, block_ms.max(1), universe);
            panel.remade(|number| {
                let instrument = &panel.instruments()[number];
                let volumes: Vec<usize> = (0..instrument.candles().len()).collect();
                let moved = (1..instrument.candles().len()).map(|candle| {
                    let other = walks[number][candle] as usize;
                    let slot = instrument.slots()[candle] as usize;
                    match panel.instruments()[other].candle_in(slot) {
                        Some(theirs) if theirs > 0 => moves[other][theirs - 1],
                        _ => moves[number][candle - 1],
                    }
                });
                let candles = made(instrument.candles(), moved, &volumes).map_err(|why| fail(number, why))?;
                Ok((candles, swapped_payments(panel, number, &paths, block_ms.max(1))))
            })
        }
    }
}

/// A move of which up and down are equally likely, less what it gains on average by that.
fn fair(m: Move) -> Move {
    // ln cosh x, without overflow.
    let gain = |x: f64| x.abs() + (-2.0 * x.abs()).exp().ln_1p() - std::f64::consts::LN_2;
    let close = m.close - gain(m.close);
    Move { gap: m.gap - gain(m.gap), close, low: m.low.min(close), ..m }
}

/// For each slot the one whose moves it gets: slots of a block in the order of numbers drawn for them.
fn orders(panel: &Panel, seed: Seed, label: &str) -> Vec<u32> {
    let mut sources = Vec::with_capacity(panel.opens_ms().len());
    for block in panel.opens_ms().chunk_by(|a, b| a.div_euclid(BLOCK_MS) == b.div_euclid(BLOCK_MS)) {
        let first = sources.len() as u32;
        let mut order: Vec<u32> = (0..block.len() as u32).collect();
        order.sort_by_cached_key(|&i| (draw(seed, label, block[i as usize]), i));
        sources.extend(order.into_iter().map(|i| first + i));
    }
    sources
}

/// For each candle of a name but the first, the candle (not the first) whose moves it gets: that of the slot that its slot
/// gets, where the name has one; else, in order, those that nobody got.
fn sources(slots: &[u32], order: &[u32]) -> Vec<usize> {
    let candles = 1..slots.len();
    let mut found: Vec<Option<usize>> = Vec::with_capacity(candles.len());
    let mut taken = vec![false; slots.len()];
    for candle in candles.clone() {
        let source = slots.binary_search(&order[slots[candle] as usize]).ok().filter(|&source| source > 0);
        if let Some(source) = source {
            taken[source] = true;
        }
        found.push(source);
    }
    let mut left = candles.filter(|&candle| !taken[candle]);
    // As many are left as are missing.
    found.into_iter().map(|source| source.or_else(|| left.next()).unwrap_or(1)).collect()
}

/// For each name and candle, the name whose path it walks; and the same by block, for those that trade paths in it.
type Paths = (Vec<Vec<u32>>, BTreeMap<i64, BTreeMap<u32, u32>>);

fn swapped(panel: &Panel, seed: Seed, block_ms: i64, universe: Universe) -> Paths {
    let opens = panel.opens_ms();
    let mut walks: Vec<Vec<u32>> =
        (0..).zip(panel.instruments()).map(|(number, i)| vec![number; i.candles().len()]).collect();
    let block_of = |slot: usize| opens[slot].div_euclid(block_ms);
    let starts: Vec<usize> = (1..opens.len()).filter(|&slot| block_of(slot) != block_of(slot - 1)).collect();
    // Who is a member is known at the close before.
    let members = Members::of_slots(panel, universe, starts.iter().map(|start| start - 1).collect());
    let names: Vec<String> = panel.instruments().iter().map(|i| i.id().to_string()).collect();
    let mut paths = BTreeMap::new();
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(opens.len());
        let seed = seed.child("names", block_of(start).cast_unsigned());
        let whole: Vec<(u32, usize)> = members
            .at(start - 1)
            .iter()
            .filter_map(|seat| {
                let slots = panel.instruments()[seat.instrument as usize].slots();
                Some((seat.instrument, first_of_block(slots, start..end)?))
            })
            .collect();
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.sort_by_cached_key(|&at| (draw(seed, &names[whole[at].0 as usize], 0), at));
        let mut of_block = BTreeMap::new();
        for (&(number, first), &other) in whole.iter().zip(&order) {
            let other = whole[other].0;
            walks[number as usize][first..first + (end - start)].fill(other);
            of_block.insert(number, other);
        }
        paths.insert(block_of(start), of_block);
    }
    (walks, paths)
}

/// The first candle in a range of slots, where the name has one in each of them and one before.
fn first_of_block(slots: &[u32], range: Range<usize>) -> Option<usize> {
    let first = slots.binary_search(&(range.start as u32)).ok().filter(|&first| first > 0)?;
    let last = *slots.get(first + range.len() - 1)?;
    (last as usize + 1 == range.end).then_some(first)
}

/// Candles of these moves at the old times, with the volumes in money of the candles named by `volumes`.
fn made(old: &CandleSeries, moves: impl Iterator<Item = Move>, volumes: &[usize]) -> Result<CandleSeries, String> {
    let bars = bars(old).rebuilt(moves);
    let mut new = CandleSeries::new(old.interval());
    for (i, &volume) in volumes.iter().enumerate() {
        let (open, close, from) = (bars.open[i], bars.close[i], old.candle(volume));
        let per_coin = from.close / close;
        let candle = Candle {
            open_time_ms: old.open_times_ms()[i],
            close_time_ms: old.close_time_ms(i),
            open,
            // Logarithms round: a high that was the open's price stays no lower than it.
            high: bars.high[i].max(open).max(close),
            low: bars.low[i].min(open).min(close),
            close,
            volume: from.volume * per_coin,
            taker_buy_volume: from.taker_buy_volume * per_coin,
            ..from
        };
        new.push(&candle).map_err(|error| error.to_string())?;
    }
    Ok(new)
}

/// Rates in an order drawn by their times, within blocks: the same for all names that pay at the same times.
fn shuffled_payments(funding: &[FundingRate], seed: Seed) -> Vec<FundingRate> {
    let mut out = Vec::with_capacity(funding.len());
    for block in funding.chunk_by(|a, b| a.time_ms.div_euclid(BLOCK_MS) == b.time_ms.div_euclid(BLOCK_MS)) {
        let mut order: Vec<usize> = (0..block.len()).collect();
        order.sort_by_cached_key(|&i| (draw(seed, "funding", block[i].time_ms), i));
        out.extend(block.iter().zip(order).map(|(at, from)| FundingRate { time_ms: at.time_ms, ..block[from] }));
    }
    out
}

/// What a name pays: in each block what the name paid whose path it walks.
fn swapped_payments(
    panel: &Panel,
    number: usize,
    paths: &BTreeMap<i64, BTreeMap<u32, u32>>,
    block_ms: i64,
) -> Vec<FundingRate> {
    if panel.instruments()[number].funding().is_empty() {
        return Vec::new();
    }
    let due = |other: usize, block: i64| {
        let funding = panel.instruments()[other].funding();
        // What falls due at a candle's close belongs to it.
        let by = |ms: i64| funding.partition_point(|f| f.time_ms <= ms);
        funding[by(block * block_ms)..by((block + 1) * block_ms)].iter().copied()
    };
    let own = number as u32;
    let of_block =
        |(&block, paths): (&i64, &BTreeMap<u32, u32>)| due(paths.get(&own).copied().unwrap_or(own) as usize, block);
    let first = paths.keys().next().map_or(i64::MAX, |block| block * block_ms);
    let before = panel.instruments()[number].funding().iter().copied().take_while(|f| f.time_ms <= first);
    before.chain(paths.iter().flat_map(of_block)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{InstrumentTable, Interval, MarketKind, readings::MarketReadings};
    use portfolio::Ticker;

    const STEP_MS: i64 = 4 * 3_600_000;
    const UNIVERSE: Universe = Universe { top: 4, volume_days: 5, listed_days: 2 };
    const NAMES: NullKind = NullKind::Names { block_ms: 12 * 3_600_000, universe: UNIVERSE };

    /// Six names of which one comes late, one leaves early and one has a hole; the first two pay funding.
    fn panel() -> Panel {
        let ticker = |number: u64| {
            let (seed, mut price) = (Seed(number), 10.0 * (number + 1) as f64);
            let (first, last) = (if number == 1 { 300 } else { 0 }, if number == 2 { 1_500 } else { 2_600 });
            let mut candles = CandleSeries::new(Interval::H4);
            for slot in 0..2_600_i64 {
                let uniform = |label: &str| draw(seed, label, slot) as f64 / u64::MAX as f64;
                let open = price * (1.0 + 0.002 * (uniform("gap") - 0.5));
                let close = open * (1.0 + 0.05 * (uniform("close") - 0.5));
                price = close;
                if (first..last).contains(&slot) && !(number == 3 && (700..720).contains(&slot)) {
                    let candle = Candle {
                        open_time_ms: slot * STEP_MS,
                        open,
                        high: open.max(close) * 1.01,
                        low: open.min(close) * 0.99,
                        close,
                        volume: (1.0 + uniform("volume")) * 1e6 / close,
                        close_time_ms: (slot + 1) * STEP_MS - 1,
                        quote_volume: (1.0 + uniform("volume")) * 1e6,
                        trade_count: 1,
                        taker_buy_volume: 1.0,
                        taker_buy_quote_volume: 1.0,
                    };
                    candles.push(&candle).unwrap();
                }
            }
            let pays = |k: i64| FundingRate { time_ms: k * 2 * STEP_MS, rate: number as f64 + k as f64 * 1e-3 };
            let funding = if number < 2 { (0..1_300).map(pays).collect() } else { Vec::new() };
            let symbol = format!("C{number}USDT").parse().unwrap();
            Ticker { symbol, candles, funding, readings: MarketReadings::default() }
        };
        let tickers = (0..6).map(ticker).collect();
        Panel::new(MarketKind::Um, Interval::H4, tickers, &InstrumentTable::default()).unwrap()
    }

    fn returns(panel: &Panel, number: usize) -> BTreeMap<u32, f64> {
        let i = &panel.instruments()[number];
        let each = |c: usize| (i.slots()[c], (i.candles().closes()[c] / i.candles().opens()[c]).ln());
        (1..i.candles().len()).map(each).collect()
    }

    /// A move before what it gains on average was taken off: x of c = x - ln cosh x.
    fn was(c: f64) -> f64 {
        // e^c = e^x / cosh x, so that e^2x = e^c / (2 - e^c).
        (c.exp() / (2.0 - c.exp())).ln() / 2.0
    }

    fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<i64> {
        // Logarithms there and back round in the last digits.
        let mut all: Vec<i64> = values.into_iter().map(|v| (v * 1e10).round() as i64).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn in_time_every_name_keeps_its_candles_and_every_slot_its_cross_section() {
        let real = panel();
        let null = null_panel(&real, NullKind::Time, Seed(3)).unwrap();
        for number in 0..6 {
            let (before, after) = (returns(&real, number), returns(&null, number));
            assert_ne!(before, after);
            for block in [0..2_190_u32, 2_190..2_600] {
                let of = |all: &BTreeMap<u32, f64>, was: fn(f64) -> f64| {
                    sorted(all.range(block.clone()).map(|(_, v)| was(*v).abs()))
                };
                assert_eq!(of(&before, |v| v), of(&after, was), "{number}");
            }
        }
        // Names that are always there move as they moved together.
        let pairs = |panel: &Panel, was: fn(f64) -> f64| {
            let (a, b) = (returns(panel, 0), returns(panel, 4));
            let digits = |v: f64| (v * 1e10).round() as i64;
            let mut all: Vec<(i64, i64)> = a
                .iter()
                .map(|(slot, a)| (was(*a), was(b[slot])))
                .map(|(a, b)| (digits(a.abs()), digits(a.signum() * b)))
                .collect();
            all.sort_unstable();
            all
        };
        assert_eq!(pairs(&real, |v| v), pairs(&null, was));
        let rates = |panel: &Panel| sorted(panel.instruments()[1].funding().iter().map(|f| f.rate));
        assert_eq!(rates(&real), rates(&null));
        assert_ne!(real.instruments()[1].funding(), null.instruments()[1].funding());
        assert_eq!(
            null_panel(&real, NullKind::Time, Seed(3)).unwrap().instruments()[5].candles(),
            null.instruments()[5].candles()
        );
        assert_ne!(
            null_panel(&real, NullKind::Time, Seed(4)).unwrap().instruments()[5].candles(),
            null.instruments()[5].candles()
        );
    }

    #[test]
    fn of_names_every_slot_keeps_its_returns_and_every_block_its_paths() {
        let real = panel();
        let null = null_panel(&real, NAMES, Seed(3)).unwrap();
        let (before, after): (Vec<_>, Vec<_>) = (0..6).map(|n| (returns(&real, n), returns(&null, n))).unzip();
        for slot in 1..2_600 {
            let of = |all: &[BTreeMap<u32, f64>]| sorted(all.iter().filter_map(|r| r.get(&slot).copied()));
            assert_eq!(of(&before), of(&after), "slot {slot}");
        }
        // Which name's path each block of three slots is.
        let mut others = [0; 6];
        for block in (60..2_400_u32).step_by(3).filter(|b| !(690..730).contains(b)) {
            let path = |r: &BTreeMap<u32, f64>| {
                (block..block + 3).map(|s| r.get(&s).map(|v| (v * 1e10).round() as i64)).collect::<Vec<_>>()
            };
            for (number, own) in after.iter().enumerate() {
                let whose = before.iter().position(|r| path(r) == path(own));
                let whose = whose.unwrap_or_else(|| panic!("block {block}: {number} walks nobody's path"));
                others[number] += u32::from(whose != number);
            }
        }
        assert!(others.iter().sum::<u32>() > 1_500, "{others:?}");
        // What is traded in money stays with the name, so that universes stay what they were.
        for number in 0..6 {
            let of = |panel: &Panel| panel.instruments()[number].quote_volumes().to_vec();
            assert_eq!(of(&real), of(&null));
        }
        let (a, b) = (Members::of(&real, UNIVERSE, 100..2_600), Members::of(&null, UNIVERSE, 100..2_600));
        assert!((100..2_600).all(|slot| a.at(slot) == b.at(slot)));
    }

    #[test]
    fn mirrored_every_slot_stays_and_its_sign_is_a_coins_fall_for_all_names() {
        let real = panel();
        let null = null_panel(&real, NullKind::Mirrored, Seed(3)).unwrap();
        let mut flips = BTreeMap::new();
        for number in 0..6 {
            let (before, after) = (returns(&real, number), returns(&null, number));
            for (slot, v) in &after {
                let (was, old) = (was(*v), before[slot]);
                assert!((was.abs() - old.abs()).abs() < 1e-9, "{number} {slot}");
                let flipped = was * old < 0.0;
                assert!(old.abs() < 1e-9 || *flips.entry(*slot).or_insert(flipped) == flipped, "{number} {slot}");
            }
            assert_eq!(real.instruments()[number].funding(), null.instruments()[number].funding());
        }
        let share = flips.values().filter(|f| **f).count() as f64 / flips.len() as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }

    #[test]
    fn up_and_down_gain_nothing_between_them() {
        for x in [0.0, 1e-9, 1e-4, 0.03, 0.7, 5.0, 400.0] {
            let [up, down] = [1.0, -1.0].map(|sign| {
                let m = Move { gap: sign * x, high: x, low: -x, close: sign * x };
                let fair = fair(m);
                assert!(fair.low <= fair.close.min(0.0) && fair.high >= fair.close);
                assert_eq!(fair.gap, fair.close);
                fair.close.exp()
            });
            assert!((up + down - 2.0).abs() < 1e-12, "{x}: {up} {down}");
        }
    }

    #[test]
    fn a_market_cut_short_has_the_null_of_the_whole_one_up_to_there() {
        let real = panel();
        for (kind, steps) in [(NAMES, 2_190), (NullKind::Mirrored, 1_234)] {
            let short = real.until(steps * STEP_MS).unwrap();
            let (whole, cut) = (null_panel(&real, kind, Seed(8)).unwrap(), null_panel(&short, kind, Seed(8)).unwrap());
            let known = whole.until(steps * STEP_MS).unwrap();
            for (a, b) in known.instruments().iter().zip(cut.instruments()) {
                assert_eq!((a.id(), a.candles(), a.funding()), (b.id(), b.candles(), b.funding()));
            }
        }
    }
}
