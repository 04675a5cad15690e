//! How many strategies are evaluated at once where memory is limited: results are the same however a population is cut.
//!
//! Knows sizes alone.

use super::Window;
use genome::{Rule, SideRules, Strategy};

/// Tests beside those of the rules: the regime, and that ATRs are defined.
const GUARDS: usize = 8;
/// Of a strategy whatever it trades: its plan, its figures, its daily returns.
const OWN_BYTES: usize = 16 << 10;
/// What is held while a test's outcomes are put together, beside them.
const COPIES: usize = 2;

/// About how much memory is held at once for a strategy while its population is evaluated: a bit a candle and symbol for each
/// of its tests, as if it shared none with the others.
pub(super) fn bytes_of(strategy: &Strategy, window: &Window) -> usize {
    let sides = [&strategy.long, &strategy.short].into_iter().flatten();
    let of = |SideRules { entry, exit }: &SideRules| entry.conditions() + exit.as_ref().map_or(0, Rule::conditions);
    let tests = GUARDS + sides.map(of).sum::<usize>();
    let lengths = [strategy.timeframe, window.interval()].map(|t| t.fixed_ms().unwrap_or(1).max(1));
    let coarser = usize::try_from(lengths[0] / lengths[1]).unwrap_or(1).max(1);
    let candles: usize = window.symbols().iter().map(|s| s.candles.len().div_ceil(coarser)).sum();
    OWN_BYTES + COPIES * tests * candles.div_ceil(8)
}

/// Cuts strategies, in order, into pieces that take at most so much memory each, by [`bytes_of`]; at least one in each.
pub(super) fn pieces<'a>(population: &'a [Strategy], window: &Window, most_bytes: usize) -> Vec<&'a [Strategy]> {
    let (mut pieces, mut first, mut bytes) = (Vec::new(), 0, 0_usize);
    for (k, strategy) in population.iter().enumerate() {
        let own = bytes_of(strategy, window);
        if k > first && bytes.saturating_add(own) > most_bytes {
            pieces.push(&population[first..k]);
            (first, bytes) = (k, 0);
        }
        bytes = bytes.saturating_add(own);
    }
    pieces.push(&population[first..]);
    pieces
}
