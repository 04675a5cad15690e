//! Request weight as Binance counts it: by clock minute (metrics: requests by five), with 429 beyond the limit and bans for going on.
//!
//! Time is passed in; never reads a clock.

use candles::time::MINUTE_MS;
use serde::{Deserialize, Serialize};

/// Bans double for repeaters, up to three days.
const LONGEST_BAN_MS: i64 = 3 * 86_400_000;

/// Limits on requests. All callers share them: the simulated exchange takes everyone for one address.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// Weight a minute on the spot market.
    pub spot_weight_per_minute: u32,
    /// Weight a minute on USD-M futures.
    pub um_weight_per_minute: u32,
    /// Refused requests in one minute (429) after which the next one is answered with a ban (418).
    pub refusals_before_ban: u32,
    /// Length of the first ban, wall ms.
    pub ban_ms: i64,
}

impl Default for LimitSpec {
    fn default() -> Self {
        Self { spot_weight_per_minute: 6_000, um_weight_per_minute: 2_400, refusals_before_ban: 5, ban_ms: 120_000 }
    }
}

/// What a request is told about its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Served,
    /// 429: come back after so many seconds.
    TooMany {
        retry_after_s: i64,
    },
    /// 418: banned until this wall time.
    Banned {
        until_ms: i64,
        retry_after_s: i64,
    },
}

/// The counter of one market.
#[derive(Debug)]
pub(super) struct WeightCounter {
    limit: u32,
    refusals_before_ban: u32,
    ban_ms: i64,
    /// What it counts in, ms.
    window_ms: i64,
    window: i64,
    used: u32,
    refused: u32,
    banned_until_ms: i64,
    bans: u32,
    peak: u32,
    refusals: u64,
}

/// What was asked of a market so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WeightUse {
    /// Weight allowed in a minute.
    pub limit: u32,
    /// The most weight that was used in one minute.
    pub peak: u32,
    /// Requests refused for their weight (429 and 418).
    pub refusals: u64,
}

impl WeightCounter {
    pub(super) fn new(limit: u32, spec: &LimitSpec) -> Self {
        Self::over(MINUTE_MS, limit, spec)
    }

    /// One that counts in windows of the clock of another length, ms.
    pub(super) fn over(window_ms: i64, limit: u32, spec: &LimitSpec) -> Self {
        let LimitSpec { refusals_before_ban, ban_ms, .. } = *spec;
        Self {
            limit,
            refusals_before_ban,
            ban_ms,
            window_ms,
            window: 0,
            used: 0,
            refused: 0,
            banned_until_ms: 0,
            bans: 0,
            peak: 0,
            refusals: 0,
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn total(&self) -> WeightUse {
        WeightUse { limit: self.limit, peak: self.peak, refusals: self.refusals }
    }

    /// Counts a request of `weight` at wall time `now_ms`. Refused ones count, too.
    pub(super) fn charge(&mut self, now_ms: i64, weight: u32) -> (u32, Verdict) {
        let window = now_ms.div_euclid(self.window_ms);
        if window != self.window {
            (self.window, self.used, self.refused) = (window, 0, 0);
        }
        self.used = self.used.saturating_add(weight);
        self.peak = self.peak.max(self.used);
        let (used, verdict) = self.judge(now_ms, window);
        self.refusals += u64::from(verdict != Verdict::Served);
        (used, verdict)
    }

    fn judge(&mut self, now_ms: i64, window: i64) -> (u32, Verdict) {
        if now_ms < self.banned_until_ms {
            return (self.used, self.banned(now_ms));
        }
        if self.used <= self.limit {
            return (self.used, Verdict::Served);
        }
        self.refused += 1;
        if self.refused > self.refusals_before_ban {
            let length = self.ban_ms.saturating_mul(1 << self.bans.min(16)).min(LONGEST_BAN_MS);
            self.bans += 1;
            self.banned_until_ms = now_ms + length;
            return (self.used, self.banned(now_ms));
        }
        (self.used, Verdict::TooMany { retry_after_s: seconds((window + 1) * self.window_ms - now_ms) })
    }

    fn banned(&self, now_ms: i64) -> Verdict {
        Verdict::Banned { until_ms: self.banned_until_ms, retry_after_s: seconds(self.banned_until_ms - now_ms) }
    }
}

/// Whole seconds that cover so many ms; at least 1.
fn seconds(ms: i64) -> i64 {
    ((ms + 999) / 1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_is_counted_by_clock_minute_and_going_on_is_banned_for_longer_each_time() {
        let spec = LimitSpec { refusals_before_ban: 2, ban_ms: 90_000, ..LimitSpec::default() };
        let mut counter = WeightCounter::new(10, &spec);
        assert_eq!(counter.charge(59_000, 6), (6, Verdict::Served));
        assert_eq!(counter.charge(59_999, 4), (10, Verdict::Served));
        // A new clock minute, not a sliding one.
        assert_eq!(counter.charge(60_000, 10), (10, Verdict::Served));
        assert_eq!(counter.charge(61_500, 1), (11, Verdict::TooMany { retry_after_s: 59 }));
        assert_eq!(counter.charge(90_001, 1), (12, Verdict::TooMany { retry_after_s: 30 }));
        let ban = Verdict::Banned { until_ms: 181_000, retry_after_s: 90 };
        assert_eq!(counter.charge(91_000, 1), (13, ban));
        // The ban outlasts the minute.
        let still = Verdict::Banned { until_ms: 181_000, retry_after_s: 61 };
        assert_eq!(counter.charge(120_000, 1), (1, still));
        assert_eq!(counter.charge(181_000, 1), (1, Verdict::Served));
        for _ in 0..11 {
            counter.charge(182_000, 1);
        }
        let (_, verdict) = counter.charge(182_000, 1);
        assert_eq!(verdict, Verdict::Banned { until_ms: 182_000 + 180_000, retry_after_s: 180 });
    }
}
