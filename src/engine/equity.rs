//! Holdings of several sleeves to curves of equity, of each and of all together: what they are worth day by day, and
//! their drawdown on candle closes.
//!
//! No curve is written down step by step. Between events holdings are constant, so whole stretches of closes are
//! looked at with vectors; the results are those of going close by close, to the bit. Never judges anything.

use super::{
    drawdown::{self, Bounds, Curve},
    execution::Holding,
    ledger::DailyEquity,
    performance::Moments,
    simd::{Wide, Width},
    timeline::{CHUNK, Closes, LANES, Lanes, Timeline},
};
use std::ops::Range;

/// A sleeve: which symbol of the timeline it trades, and what it held when.
#[derive(Clone, Copy)]
pub(super) struct Sleeve<'a> {
    pub symbol: usize,
    pub holdings: &'a [Holding],
    pub capital: f64,
}

impl<'a> Sleeve<'a> {
    fn closes<'t>(&self, timeline: &'t Timeline<'_>) -> &'t Closes<'t> {
        &timeline.symbols[self.symbol]
    }

    /// What it begins with.
    fn capital(&self) -> Holding {
        Holding { candle: 0, cash: self.capital, units: 0.0 }
    }
}

/// One strategy's curves: those of its sleeves, in order, and then that of all together. Memory that is used for one
/// strategy after another.
#[derive(Debug, Default)]
pub(super) struct Curves {
    /// By block of curves: what each of them is worth at each day, and its return of each complete day.
    blocks: Vec<Block>,
    /// What one sleeve and what all together are worth day by day.
    alone: Vec<f64>,
    together: Vec<Lanes>,
    drawdowns: Vec<f64>,
    /// What each sleeve holds in each chunk.
    held: Vec<Held>,
    bounds: Vec<Bounds>,
    bounds_together: Bounds,
    buffers: drawdown::DrawdownBuffers,
}

/// Curves of a block.
const SIDE_BY_SIDE: usize = 4;

#[derive(Debug, Default)]
struct Block {
    equity: Vec<[f64; SIDE_BY_SIDE]>,
    returns: Vec<[f64; SIDE_BY_SIDE]>,
    moments: [Moments; SIDE_BY_SIDE],
}

impl Curves {
    /// Reads the curves of sleeves: all together, and each alone if `each` asks for it.
    pub(super) fn read(&mut self, width: Width, sleeves: &[Sleeve<'_>], timeline: &Timeline<'_>, each: bool) {
        width.run(Reading { curves: self, sleeves, timeline, each });
    }

    /// What a curve is worth at a day.
    pub(super) fn equity(&self, curve: usize, day: usize) -> f64 {
        self.blocks[curve / SIDE_BY_SIDE].equity[day][curve % SIDE_BY_SIDE]
    }

    /// What a curve is worth at each day.
    pub(super) fn daily(&self, curve: usize, timeline: &Timeline<'_>) -> Vec<DailyEquity> {
        let equity = |(day, &time_ms)| DailyEquity { time_ms, equity: self.equity(curve, day) };
        timeline.days.iter().enumerate().map(equity).collect()
    }

    /// A curve's returns of complete days.
    pub(super) fn returns(&self, curve: usize) -> Vec<f64> {
        self.blocks[curve / SIDE_BY_SIDE].returns.iter().map(|returns| returns[curve % SIDE_BY_SIDE]).collect()
    }

    /// Moments of these returns.
    pub(super) fn moments(&self, curve: usize) -> &Moments {
        &self.blocks[curve / SIDE_BY_SIDE].moments[curve % SIDE_BY_SIDE]
    }

    /// Most negative equity / running peak - 1 of a curve, on candle closes; what it begins with is a peak.
    pub(super) fn drawdown(&self, curve: usize) -> f64 {
        self.drawdowns[curve]
    }
}

struct Reading<'a> {
    curves: &'a mut Curves,
    sleeves: &'a [Sleeve<'a>],
    timeline: &'a Timeline<'a>,
    each: bool,
}

impl Wide for Reading<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { curves, sleeves, timeline, each } = self;
        curves.days(sleeves, timeline);
        curves.returns_of_days(&timeline.complete_days);
        curves.falls(sleeves, timeline, each);
    }
}

impl Curves {
    /// What the curves are worth at each day.
    #[inline(always)]
    fn days(&mut self, sleeves: &[Sleeve<'_>], timeline: &Timeline<'_>) {
        let days = timeline.days.len();
        let vectors = days.div_ceil(LANES);
        self.together.clear();
        self.together.resize(vectors, [0.0; LANES]);
        self.blocks.resize_with((sleeves.len() + 1).div_ceil(SIDE_BY_SIDE), Block::default);
        for (curve, sleeve) in sleeves.iter().enumerate() {
            let closes = sleeve.closes(timeline);
            self.alone.resize((vectors + 1) * LANES, 0.0);
            let daily = closes.daily.as_flattened();
            spread(
                sleeve,
                days,
                |h| timeline.day_of[closes.step(h.candle)] as usize,
                |at, held, _| {
                    if let (Some(days), Some(closes)) = (self.alone[at..].first_chunk_mut(), daily[at..].first_chunk())
                    {
                        *days = worths(held, closes);
                    }
                },
            );
            let block = &mut self.blocks[curve / SIDE_BY_SIDE].equity;
            block.resize(vectors * LANES, [0.0; SIDE_BY_SIDE]);
            let days = self.together.iter_mut().zip(block.as_chunks_mut::<LANES>().0);
            for ((together, days), equity) in days.zip(self.alone.as_chunks::<LANES>().0) {
                for k in 0..LANES {
                    together[k] += equity[k];
                }
                for k in 0..LANES {
                    days[k][curve % SIDE_BY_SIDE] = equity[k];
                }
            }
        }
        let block = &mut self.blocks[sleeves.len() / SIDE_BY_SIDE].equity;
        block.resize(vectors * LANES, [0.0; SIDE_BY_SIDE]);
        for (day, together) in block.iter_mut().zip(self.together.as_flattened()) {
            day[sleeves.len() % SIDE_BY_SIDE] = *together;
        }
    }

    /// Returns of complete days, and their moments. A day that begins with nothing returns nothing.
    #[inline(always)]
    fn returns_of_days(&mut self, complete_days: &Range<usize>) {
        for block in &mut self.blocks {
            block.returns.resize(complete_days.len(), [0.0; SIDE_BY_SIDE]);
            let days = block.equity.windows(2).skip(complete_days.start);
            for (returns, days) in block.returns.iter_mut().zip(days) {
                for k in 0..SIDE_BY_SIDE {
                    let (before, after) = (days[0][k], days[1][k]);
                    let change = after / before - 1.0;
                    returns[k] = if before > 0.0 { change } else { 0.0 };
                }
            }
            block.moments = Moments::of(&block.returns);
        }
    }

    /// The curves' drawdowns.
    #[inline(always)]
    fn falls(&mut self, sleeves: &[Sleeve<'_>], timeline: &Timeline<'_>, each: bool) {
        let chunks = timeline.steps.div_ceil(CHUNK);
        self.bounds.resize_with(sleeves.len(), Bounds::default);
        self.held.resize_with(sleeves.len(), Held::default);
        self.bounds_together.begin(chunks);
        for ((sleeve, bounds), held) in sleeves.iter().zip(&mut self.bounds).zip(&mut self.held) {
            let closes = sleeve.closes(timeline);
            held.read(sleeve, closes, chunks);
            bounds.of(sleeve, closes, held, chunks);
            self.bounds_together.add(bounds);
        }
        self.drawdowns.clear();
        for (s, bounds) in self.bounds.iter_mut().enumerate().filter(|_| each) {
            let alone = Close { sleeves: &sleeves[s..=s], held: &self.held[s..=s], timeline };
            self.drawdowns.push(drawdown::deepest(sleeves[s].capital, bounds, &mut self.buffers, &alone));
        }
        self.drawdowns.resize(sleeves.len(), 0.0);
        let first = sleeves.iter().map(|s| s.capital).sum();
        let together = Close { sleeves, held: &self.held, timeline };
        self.drawdowns.push(drawdown::deepest(first, &mut self.bounds_together, &mut self.buffers, &together));
    }
}

/// As [`Holding::equity`], without a branch.
#[inline(always)]
fn worth(cash: f64, units: f64, price: f64) -> f64 {
    let value = cash + units * price;
    let value = if value > 0.0 { value } else { 0.0 };
    if units == 0.0 { cash } else { value }
}

/// What a holding is worth at several prices.
#[inline(always)]
fn worths(held: &Holding, prices: &Lanes) -> Lanes {
    let mut worths = [0.0; LANES];
    for k in 0..LANES {
        worths[k] = worth(held.cash, held.units, prices[k]);
    }
    worths
}

/// Tells for whole vectors of places, from the one at `at` on, what a sleeve holds there last, and how many holdings
/// had begun by then. The places of holdings ascend. A vector may reach past where a holding ends: the next one goes
/// over it, so that most holdings are one vector without a branch, and what is past `places` means nothing.
#[inline(always)]
fn spread(
    sleeve: &Sleeve<'_>,
    places: usize,
    place: impl Fn(&Holding) -> usize,
    mut tell: impl FnMut(usize, &Holding, u32),
) {
    let (mut now, mut begun, mut at) = (sleeve.capital(), 0, 0);
    for next in sleeve.holdings {
        let end = place(next);
        tell(at, &now, begun);
        while at + LANES < end {
            at += LANES;
            tell(at, &now, begun);
        }
        (now, begun, at) = (*next, begun + 1, end);
    }
    while at < places {
        tell(at, &now, begun);
        at += LANES;
    }
}

/// What a sleeve holds last in one chunk after another.
#[derive(Debug, Default)]
struct Held {
    cash: Vec<f64>,
    units: Vec<f64>,
    /// How many holdings have begun by its end.
    begun: Vec<u32>,
}

impl Held {
    #[inline(always)]
    fn read(&mut self, sleeve: &Sleeve<'_>, closes: &Closes<'_>, chunks: usize) {
        let buffers = chunks.next_multiple_of(LANES) + LANES;
        self.cash.resize(buffers, 0.0);
        self.units.resize(buffers, 0.0);
        self.begun.resize(buffers, 0);
        spread(
            sleeve,
            chunks,
            |h| closes.step(h.candle) / CHUNK,
            |at, held, number| {
                if let (Some(cash), Some(units), Some(begun)) = (
                    self.cash[at..].first_chunk_mut::<LANES>(),
                    self.units[at..].first_chunk_mut::<LANES>(),
                    self.begun[at..].first_chunk_mut::<LANES>(),
                ) {
                    (*cash, *units, *begun) = ([held.cash; LANES], [held.units; LANES], [number; LANES]);
                }
            },
        );
    }

    /// How many holdings have begun before a chunk.
    #[inline(always)]
    fn begun_before(&self, chunk: usize) -> usize {
        chunk.checked_sub(1).map_or(0, |before| self.begun[before] as usize)
    }
}

impl Bounds {
    /// Of nothing.
    #[inline(always)]
    fn begin(&mut self, chunks: usize) {
        for bounds in [&mut self.least, &mut self.most] {
            bounds.clear();
            bounds.resize(chunks.div_ceil(LANES), [0.0; LANES]);
        }
    }

    /// Adds those of another curve.
    #[inline(always)]
    fn add(&mut self, other: &Self) {
        for (bounds, other) in [(&mut self.least, &other.least), (&mut self.most, &other.most)] {
            for (bounds, other) in bounds.as_flattened_mut().iter_mut().zip(other.as_flattened()) {
                *bounds += other;
            }
        }
    }

    /// The least and the most that a sleeve can be worth in each chunk: whatever it holds at any step of it at the
    /// lowest and at the highest close of it. `held` is what it holds last in each.
    #[inline(always)]
    fn of(&mut self, sleeve: &Sleeve<'_>, closes: &Closes<'_>, held: &Held, chunks: usize) {
        let vectors = chunks.div_ceil(LANES);
        self.least.resize(vectors, [0.0; LANES]);
        self.most.resize(vectors, [0.0; LANES]);
        let bounds = self.least.iter_mut().zip(&mut self.most);
        let held = held.cash.as_chunks::<LANES>().0.iter().zip(held.units.as_chunks::<LANES>().0);
        for (((least, most), (lowest, highest)), (cash, units)) in
            bounds.zip(closes.lowest.iter().zip(&closes.highest)).zip(held)
        {
            for k in 0..LANES {
                let at_low = worth(cash[k], units[k], lowest[k]);
                let at_high = worth(cash[k], units[k], highest[k]);
                least[k] = if at_low < at_high { at_low } else { at_high };
                most[k] = if at_low < at_high { at_high } else { at_low };
            }
        }
        let (least, most) = (self.least.as_flattened_mut(), self.most.as_flattened_mut());
        let (lowest, highest) = (closes.lowest.as_flattened(), closes.highest.as_flattened());
        let mut before = sleeve.capital();
        for next in sleeve.holdings {
            let chunk = closes.step(next.candle) / CHUNK;
            let at_low = worth(before.cash, before.units, lowest[chunk]);
            let at_high = worth(before.cash, before.units, highest[chunk]);
            let (low, high) = if at_low < at_high { (at_low, at_high) } else { (at_high, at_low) };
            least[chunk] = if low < least[chunk] { low } else { least[chunk] };
            most[chunk] = if high > most[chunk] { high } else { most[chunk] };
            before = *next;
        }
        least[chunks..].fill(f64::INFINITY);
        most[chunks..].fill(0.0);
    }
}

/// Sleeves together, to be looked at closely.
struct Close<'a> {
    sleeves: &'a [Sleeve<'a>],
    /// What they hold last in each chunk.
    held: &'a [Held],
    timeline: &'a Timeline<'a>,
}

impl Curve for Close<'_> {
    /// Alone in its movement, a sleeve that holds the same all the time reaches all bounds.
    #[inline(always)]
    fn reaches(&self, chunk: usize) -> bool {
        let still = self.held.iter().all(|held| held.begun_before(chunk) == held.begun[chunk] as usize);
        still && self.held.iter().filter(|held| held.units[chunk] != 0.0).count() < 2
    }

    #[inline(always)]
    fn closely(&self, chunk: usize) -> [f64; CHUNK] {
        let (start, end) = (chunk * CHUNK, self.timeline.steps.min(chunk * CHUNK + CHUNK));
        let mut equity = [0.0_f64; CHUNK];
        for (sleeve, held) in self.sleeves.iter().zip(self.held) {
            let closes = sleeve.closes(self.timeline);
            let begun = held.begun_before(chunk);
            let mut now = begun.checked_sub(1).map_or(sleeve.capital(), |held| sleeve.holdings[held]);
            let mut step = start;
            let next = &sleeve.holdings[begun..held.begun[chunk] as usize];
            for next in next.iter().map(Some).chain([None]) {
                let until = next.map_or(end, |next| closes.step(next.candle));
                for (equity, close) in equity[step - start..until - start].iter_mut().zip(&closes.closes[step..until]) {
                    *equity += worth(now.cash, now.units, *close);
                }
                now = next.copied().unwrap_or(now);
                step = until;
            }
        }
        // Steps that a last chunk lacks change nothing.
        let last = equity[end - start - 1];
        equity[end - start..].fill(last);
        equity
    }
}
