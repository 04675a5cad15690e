//! What units are worth at prices: sums over all that is held, in vectors. Books nothing.

use engine::Wide;

/// What all that is held is worth at the marks, quote units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Cash and what is held.
    pub equity: f64,
    /// Sum of the absolute values held.
    pub gross: f64,
    /// Sum of the values held, short ones negative.
    pub net: f64,
}

/// New prices for what is held, and what it is worth at them: sums of values and of absolute values, eight sums of each
/// beside each other, and the greatest absolute values so far.
pub(crate) struct Valued<'a> {
    /// By number of the instrument; NaN where there is none.
    pub(crate) new: &'a [f64],
    pub(crate) held: &'a [u32],
    pub(crate) units: &'a [f64],
    pub(crate) prices: &'a mut [f64],
    pub(crate) greatest: &'a mut [f64],
}

impl Wide for Valued<'_> {
    /// Net, gross, and whether a price was missing.
    type Output = (f64, f64, bool);

    #[inline(always)]
    fn run(self) -> (f64, f64, bool) {
        let Self { new, held, units, prices, greatest } = self;
        let (mut net, mut gross, mut missing) = ([0.0; 8], [0.0; 8], [0_u64; 8]);
        let (eights, rest) = held.as_chunks::<8>();
        let (units, rest_units) = units.as_chunks::<8>();
        let (prices, rest_prices) = prices.as_chunks_mut::<8>();
        let (greatest, rest_greatest) = greatest.as_chunks_mut::<8>();
        for (lane, &instrument) in rest.iter().enumerate() {
            let new = new[instrument as usize];
            missing[lane] |= u64::from(new.is_nan());
            rest_prices[lane] = if new.is_nan() { rest_prices[lane] } else { new };
            let value = rest_units[lane] * rest_prices[lane];
            (net[lane], gross[lane]) = (net[lane] + value, gross[lane] + value.abs());
            rest_greatest[lane] = greater(rest_greatest[lane], value.abs());
        }
        for (((held, units), prices), greatest) in eights.iter().zip(units).zip(prices).zip(greatest) {
            // Numbers ascend: eight in a row are one vector.
            let row = if held[7] - held[0] == 7 { new[held[0] as usize..].first_chunk() } else { None };
            let new: [f64; 8] = row.copied().unwrap_or_else(|| held.map(|instrument| new[instrument as usize]));
            for lane in 0..8 {
                missing[lane] |= u64::from(new[lane].is_nan());
                prices[lane] = if new[lane].is_nan() { prices[lane] } else { new[lane] };
                let value = units[lane] * prices[lane];
                net[lane] += value;
                gross[lane] += value.abs();
                greatest[lane] = greater(greatest[lane], value.abs());
            }
        }
        (net.iter().sum(), gross.iter().sum(), missing.iter().any(|m| *m > 0))
    }
}

#[inline(always)]
fn greater(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// The sums alone, at the newest prices.
pub(crate) struct Totals<'a> {
    pub(crate) units: &'a [f64],
    pub(crate) prices: &'a [f64],
}

impl Wide for Totals<'_> {
    /// Net and gross.
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let (units, prices) = (self.units.chunks_exact(8), self.prices.chunks_exact(8));
        let (mut net, mut gross) = ([0.0; 8], [0.0; 8]);
        let rest = units.remainder().iter().zip(prices.remainder());
        for (at, (units, price)) in rest.enumerate() {
            net[at] += units * price;
            gross[at] += (units * price).abs();
        }
        for (units, prices) in units.zip(prices) {
            for at in 0..8 {
                net[at] += units[at] * prices[at];
                gross[at] += (units[at] * prices[at]).abs();
            }
        }
        (net.iter().sum(), gross.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::widest;
    use proptest::prelude::*;

    fn price() -> impl Strategy<Value = f64> {
        let odd = [f64::NAN, 0.0, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 1e300];
        prop_oneof![4 => 1e-9..1e9_f64, 1 => proptest::sample::select(odd.to_vec())]
    }

    proptest! {
        #[test]
        fn vectors_value_as_one_after_another_would(
            new in proptest::collection::vec(price(), 60),
            chosen in proptest::collection::vec(any::<bool>(), 60),
            units in proptest::collection::vec(prop_oneof![-1e6..1e6_f64, Just(f64::NAN)], 60),
            old in proptest::collection::vec(price(), 60),
        ) {
            let held: Vec<u32> = (0..60).filter(|&i| chosen[i as usize]).collect();
            let n = held.len();
            let (mut prices, mut greatest) = (old[..n].to_vec(), vec![1.0; n]);
            let valued = Valued { new: &new, held: &held, units: &units[..n], prices: &mut prices, greatest: &mut greatest };
            let (net, gross, missing) = widest(valued);
            let (mut nets, mut grosses) = ([0.0; 8], [0.0; 8]);
            let in_turn = (n / 8 * 8..n).chain(0..n / 8 * 8);
            for at in in_turn {
                let price = new[held[at] as usize];
                let price = if price.is_nan() { old[at] } else { price };
                let (lane, value) = (at % 8, units[at] * price);
                nets[lane] += value;
                grosses[lane] += value.abs();
                prop_assert_eq!(prices[at].to_bits(), price.to_bits());
                let most = if value.abs() > 1.0 { value.abs() } else { 1.0 };
                prop_assert_eq!(greatest[at].to_bits(), most.to_bits());
            }
            // Which NaN comes of two is the processor's choice.
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            prop_assert!(same(net, nets.iter().sum()) && same(gross, grosses.iter().sum()));
            prop_assert_eq!(missing, held.iter().any(|i| new[*i as usize].is_nan()));
            let totals = widest(Totals { units: &units[..n], prices: &prices });
            prop_assert!(same(totals.0, net) && same(totals.1, gross));
        }
    }
}
