//! Candles that somebody in this process works with: they are not evicted under the work. Evicts nothing itself.

use candles::stored::CandleRange;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who works with what.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Held while something is evicted: what is asked for meanwhile is not looked at any more, so whoever asks waits.
    gate: tokio::sync::Mutex<()>,
    held: Mutex<(u64, BTreeMap<u64, Vec<CandleRange>>)>,
}

/// Holds its candles until it is dropped.
#[must_use = "candles are held only while this lives"]
pub(crate) struct Hold {
    holds: Holds,
    number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.0.held.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.number);
    }
}

/// Nobody begins to hold anything while this lives.
#[must_use = "others wait only while this lives"]
pub(crate) struct Eviction<'h> {
    holds: &'h Holds,
    _gate: tokio::sync::MutexGuard<'h, ()>,
}

impl Eviction<'_> {
    /// What is held.
    pub(crate) fn held(&self) -> Vec<CandleRange> {
        let held = self.holds.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.1.values().flatten().cloned().collect()
    }
}

impl Holds {
    /// Holds candles, once nobody evicts any.
    pub(crate) async fn hold(&self, ranges: Vec<CandleRange>) -> Hold {
        let _gate = self.0.gate.lock().await;
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 += 1;
        let number = held.0;
        held.1.insert(number, ranges);
        Hold { holds: self.clone(), number }
    }

    /// Keeps everybody from beginning to hold anything.
    pub(crate) async fn evict(&self) -> Eviction<'_> {
        Eviction { _gate: self.0.gate.lock().await, holds: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Interval, MarketKind};
    use futures::FutureExt as _;

    fn range(from_ms: i64) -> CandleRange {
        let (market, symbol) = (MarketKind::Spot, "BTCUSDT".parse().unwrap());
        CandleRange { market, symbol, interval: Interval::M15, from_ms, to_ms: from_ms + 1 }
    }

    #[tokio::test]
    async fn what_is_worked_with_is_held_as_long_as_the_work_lasts() {
        let holds = Holds::default();
        let (one, two) = (holds.hold(vec![range(1)]).await, holds.hold(vec![range(1), range(2)]).await);
        assert_eq!(holds.evict().await.held(), [range(1), range(1), range(2)]);
        drop(one);
        assert_eq!(holds.evict().await.held(), [range(1), range(2)]);
        drop(two);
        assert_eq!(holds.evict().await.held(), []);
    }

    #[tokio::test]
    async fn whoever_comes_while_something_is_evicted_waits_and_is_then_held() {
        let holds = Holds::default();
        let eviction = holds.evict().await;
        let mut late = Box::pin(holds.hold(vec![range(3)]));
        assert!(late.as_mut().now_or_never().is_none(), "it was not asked about any more");
        drop(eviction);
        let _held = late.await;
        assert_eq!(holds.evict().await.held(), [range(3)]);
    }
}
