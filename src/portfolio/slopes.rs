//! Exposure of members to the members' mean return (definitions, section 7.4: `beta neutral`).

use crate::{Panel, Seat};
use engine::indicator::rolling::{Eight, Values};
use engine::{Wide, widest};
use std::ops::Range;

/// Slope of each member's last `n` returns between neighbouring own closes on the equal-weight mean return of the
/// members in the same slots; NaN for a member with fewer, or where the mean does not vary.
pub(crate) fn betas(panel: &Panel, seats: &[Seat], n: usize) -> Vec<f64> {
    let windows: Vec<Option<Window<'_>>> = seats.iter().map(|seat| Window::new(panel, seat, n)).collect();
    let Some(earliest) = windows.iter().flatten().map(|window| window.slots[window.own.start]).min() else {
        return vec![f64::NAN; seats.len()];
    };
    // Returns of all members from the earliest slot on that any of them looks back to.
    let latest = windows.iter().flatten().map(|window| window.slots[window.own.end - 1]).max().unwrap_or(earliest);
    let length = (latest - earliest) as usize + 1;
    let (mut sums, mut counts) = (vec![0.0; length], vec![0.0; length]);
    // Members with a candle in every slot, counted at once.
    let mut whole = 0.0;
    for seat in seats {
        let (returns, slots) = returns_of(panel, seat);
        let from = first_from(slots, seat.candle as usize, earliest).max(1);
        let all = from..(seat.candle as usize + 1).max(from);
        if let Some(at) = in_a_row(&slots[all.clone()]) {
            let at = (at - earliest) as usize..(at - earliest) as usize + all.len();
            if at.len() == length {
                whole += 1.0;
            } else {
                counts[at.clone()].iter_mut().for_each(|count| *count += 1.0);
            }
            widest(Add { sums: &mut sums[at], returns: &returns[all] });
        } else {
            for (slot, value) in slots[all.clone()].iter().zip(&returns[all]) {
                let at = (slot - earliest) as usize;
                sums[at] += value;
                counts[at] += 1.0;
            }
        }
    }
    sums.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= whole + count);
    // Most members have a candle in every slot, and so look at the same means.
    let mut common: Option<(Range<usize>, Deviations)> = None;
    windows
        .into_iter()
        .map(|window| {
            let Some(Window { returns, slots, own }) = window else { return f64::NAN };
            let y = &returns[own.clone()];
            let Some(at) = in_a_row(&slots[own.clone()]) else {
                let x: Vec<f64> = slots[own].iter().map(|slot| sums[(slot - earliest) as usize]).collect();
                return Deviations::of(&x).slope(y);
            };
            let at = (at - earliest) as usize..(at - earliest) as usize + y.len();
            if common.as_ref().is_none_or(|(known, _)| *known != at) {
                common = Some((at.clone(), Deviations::of(&sums[at])));
            }
            common.as_ref().map_or(f64::NAN, |(_, deviations)| deviations.slope(y))
        })
        .collect()
}

/// A member's returns and which of them count.
struct Window<'a> {
    returns: &'a [f64],
    slots: &'a [u32],
    own: Range<usize>,
}

impl<'a> Window<'a> {
    fn new(panel: &'a Panel, seat: &Seat, n: usize) -> Option<Self> {
        let end = seat.candle as usize + 1;
        // The first candle has no return.
        let start = end.checked_sub(n).filter(|&start| start > 0)?;
        let (returns, slots) = returns_of(panel, seat);
        Some(Self { returns, slots, own: start..end })
    }
}

fn returns_of<'a>(panel: &'a Panel, seat: &Seat) -> (&'a [f64], &'a [u32]) {
    let instrument = &panel.instruments()[seat.instrument as usize];
    (panel.grid().returns(seat.instrument), instrument.slots())
}

/// The first candle in a slot or after it, up to `newest`.
fn first_from(slots: &[u32], newest: usize, slot: u32) -> usize {
    // There it is where no candle is missing.
    let guess = newest.wrapping_sub(slots[newest].wrapping_sub(slot) as usize);
    if slots.get(guess) == Some(&slot) { guess } else { slots.partition_point(|&s| s < slot) }
}

/// The first of slots that follow one another without a hole.
fn in_a_row(slots: &[u32]) -> Option<u32> {
    let (first, last) = (*slots.first()?, *slots.last()?);
    ((last - first) as usize + 1 == slots.len()).then_some(first)
}

struct Add<'a> {
    sums: &'a mut [f64],
    returns: &'a [f64],
}

impl Wide for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (sum, value) in self.sums.iter_mut().zip(self.returns) {
            *sum += value;
        }
    }
}

/// What is regressed on, less its mean.
struct Deviations {
    each: Vec<f64>,
    square: f64,
}

impl Deviations {
    fn of(x: &[f64]) -> Self {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let each: Vec<f64> = x.iter().map(|x| x - mean).collect();
        let square = widest(Product { x: &each, y: &each });
        Self { each, square }
    }

    /// Slope of `y`: covariance over variance; NaN where there is none.
    fn slope(&self, y: &[f64]) -> f64 {
        if self.square > 0.0 { widest(Product { x: &self.each, y }) / self.square } else { f64::NAN }
    }
}

/// Sum of products, eight sums beside each other.
struct Product<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Wide for Product<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let (x, y) = (self.x.chunks_exact(8), self.y.chunks_exact(8));
        let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| x * y).sum();
        let mut sums = Eight::of(0.0);
        for (x, y) in x.zip(y) {
            for ((sum, x), y) in sums.0.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        sums.0.iter().sum::<f64>() + rest
    }
}
