//! How the memory that a daemon may take (`daemon.max_memory_mb`) is shared out, and how much it holds.
//!
//! Plans and measures; drops nothing by itself.

use crate::config::Config;
use candles::{Interval, time::DAY_MS};

/// What the program takes beside all that: its code, connections, threads, answers that readers share, and columns that are
/// under way.
const PROGRAM_MB: u64 = 128;
/// Least that evaluating a population works with.
const LEAST_WORK_MB: u64 = 32;
/// One candle in memory, bytes: eight columns of eight bytes, and room to grow.
const CANDLE_BYTES: u64 = 96;
/// Copies of a session's candles that are there at once: as loaded, search and hold-out, a null market, other timeframes.
const COPIES: u64 = 4;
/// The same of a market that is ranked: as loaded, and a null market.
const MARKET_COPIES: u64 = 2;
/// Least that a slot of a worker has for what it searches, and to evaluate.
const SLOT_MB: u64 = 2 * LEAST_WORK_MB;
/// Candles in memory, as a share of what they are unpacked for travelling: ten columns of eight bytes.
const IN_MEMORY: (u64, u64) = (CANDLE_BYTES, 80);
/// Share of the limit at which the engine's cache is dropped.
const NEAR_FRACTION: f64 = 0.9;

/// A limit, and what of it goes where, MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// `daemon.max_memory_mb`.
    pub(crate) limit_mb: u64,
    /// What a population may take while it is evaluated.
    pub(crate) work_mb: u64,
    /// What a market that is ranked may take while it is searched.
    pub(crate) market_mb: u64,
}

/// A market that an island ranks, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarketSize {
    pub(crate) symbols: usize,
    /// Those that are searched, the hold-out and what warms up, ms.
    pub(crate) span_ms: i64,
    pub(crate) interval: Interval,
}

impl MarketSize {
    /// What a session takes of it at most, MB: candles as if every symbol had all of them, and what is computed over them.
    pub(crate) fn mb(self) -> u64 {
        let candles = self.symbols as u64 * candles_in(self.span_ms.unsigned_abs(), self.interval);
        let kept = portfolio::KEPT_BYTES as u64;
        (candles * CANDLE_BYTES * MARKET_COPIES + kept).div_ceil(1_000_000)
    }
}

/// Candles of an interval in a time.
fn candles_in(span_ms: u64, interval: Interval) -> u64 {
    span_ms / interval.fixed_ms().unwrap_or(DAY_MS).unsigned_abs().max(1)
}

/// Candles of the largest island of rules in all their copies, MB.
fn candles_mb(config: &Config) -> u64 {
    let settings = &config.daemon;
    let days = u64::from(settings.backtest_days) + u64::from(settings.holdout_days);
    let ms = days * DAY_MS.unsigned_abs() + settings.warmup_ms().unsigned_abs();
    let of = |(symbols, interval): (Vec<_>, Interval)| symbols.len() as u64 * candles_in(ms, interval);
    let most = settings.searched().into_iter().map(of).max().unwrap_or(0);
    (most * CANDLE_BYTES * COPIES).div_ceil(1_000_000)
}

impl MemoryPlan {
    /// Of the settings and the largest market that an island ranks, as far as it is cached; `None` without a limit. Islands
    /// are searched one after the other, so the largest of all counts.
    ///
    /// # Errors
    /// When the parts that are set do not fit into it.
    pub(crate) fn of(config: &Config, ranked: Option<MarketSize>) -> anyhow::Result<Option<Self>> {
        let limit_mb = config.daemon.max_memory_mb;
        if limit_mb == 0 {
            return Ok(None);
        }
        let (cache_mb, rules_mb) = (config.engine.cache_mb as u64, candles_mb(config));
        let (ranked_mb, symbols) = ranked.map_or((0, 0), |market| (market.mb(), market.symbols));
        let (session_mb, what) = if ranked_mb > rules_mb {
            let what = format!(
                "the market that an island ranks ({symbols} symbols of it are cached; daemon.ranking_backtest_days and \
                 daemon.holdout_days)"
            );
            (ranked_mb, what)
        } else {
            (rules_mb, "the candles of a session (symbols, days and interval of daemon.*)".to_owned())
        };
        let parts_mb = PROGRAM_MB + cache_mb + session_mb;
        let needed_mb = parts_mb + LEAST_WORK_MB;
        // What is dropped near the limit is dropped before it.
        let usable_mb = (limit_mb as f64 * NEAR_FRACTION) as u64;
        anyhow::ensure!(
            usable_mb >= needed_mb,
            "daemon.max_memory_mb is {limit_mb}, but {needed_mb} MB are needed within nine tenths of it: {PROGRAM_MB} for the \
             program, {cache_mb} for engine.cache_mb, {session_mb} for {what}, {LEAST_WORK_MB} to evaluate; set it to {} or \
             more, or engine.cache_mb lower",
            (needed_mb as f64 / NEAR_FRACTION).ceil()
        );
        let market_mb = usable_mb - PROGRAM_MB - cache_mb - LEAST_WORK_MB;
        Ok(Some(Self { limit_mb, work_mb: usable_mb - parts_mb, market_mb }))
    }

    /// Of a worker that does so many items at once: what is left for what they search, and for themselves, is `market_mb`; what
    /// evaluating a population may take in each is `work_mb`. `None` without a limit.
    ///
    /// # Errors
    /// When the parts that are set do not fit into it.
    pub(crate) fn of_worker(config: &Config, slots: u32) -> anyhow::Result<Option<Self>> {
        let limit_mb = config.daemon.max_memory_mb;
        if limit_mb == 0 {
            return Ok(None);
        }
        let (cache_mb, slots) = (config.engine.cache_mb as u64, u64::from(slots.max(1)));
        let usable_mb = (limit_mb as f64 * NEAR_FRACTION) as u64;
        let needed_mb = PROGRAM_MB + cache_mb + SLOT_MB * slots;
        anyhow::ensure!(
            usable_mb >= needed_mb,
            "daemon.max_memory_mb is {limit_mb}, but {needed_mb} MB are needed within nine tenths of it: {PROGRAM_MB} for the \
             program, {cache_mb} for engine.cache_mb, {SLOT_MB} for each of {slots} slots; set it to {} or more, or \
             engine.cache_mb or --slots lower",
            (needed_mb as f64 / NEAR_FRACTION).ceil()
        );
        let market_mb = usable_mb - PROGRAM_MB - cache_mb;
        Ok(Some(Self { limit_mb, work_mb: (market_mb / slots / 4).max(LEAST_WORK_MB), market_mb }))
    }

    /// What a worker has for what it searches and for items under way, bytes.
    pub(crate) const fn room_bytes(self) -> u64 {
        self.market_mb * 1_000_000
    }

    /// What an item takes while it is under way on a ground that is so large in memory, bytes: null markets, and what is computed
    /// over them.
    pub(crate) const fn item_bytes(self, ground_bytes: u64, ranks: bool) -> u64 {
        if ranks {
            ground_bytes * (MARKET_COPIES - 1) + portfolio::KEPT_BYTES as u64
        } else {
            ground_bytes * (COPIES - 1) + self.work_mb * 1_000_000
        }
    }

    /// The least `daemon.max_memory_mb` with so many bytes more for what is searched.
    pub(crate) fn with_more_mb(self, bytes: u64) -> u64 {
        self.limit_mb + (bytes as f64 / 1e6 / NEAR_FRACTION).ceil() as u64
    }

    /// Whether a market may be ranked within the limit.
    ///
    /// # Errors
    /// When it takes more than there is: how much, and what to do.
    pub(crate) fn admits(self, market: MarketSize) -> anyhow::Result<()> {
        let needed_mb = market.mb();
        let apart_mb = (self.limit_mb as f64 * NEAR_FRACTION) as u64 - self.market_mb;
        let least_mb = ((apart_mb + needed_mb) as f64 / NEAR_FRACTION).ceil();
        anyhow::ensure!(
            needed_mb <= self.market_mb,
            "daemon.max_memory_mb is {}, of which {} MB are left for a market that is ranked, but {} symbols over {} days of \
             {} candles take up to {needed_mb} MB; set it to {least_mb} or more, or daemon.ranking_backtest_days or \
             engine.cache_mb lower",
            self.limit_mb,
            self.market_mb,
            market.symbols,
            market.span_ms / DAY_MS,
            market.interval,
        );
        Ok(())
    }

    /// The limit, bytes.
    pub(crate) const fn limit_bytes(self) -> u64 {
        self.limit_mb * 1_000_000
    }

    /// Whether a process that holds so much is near it.
    pub(crate) fn is_near(self, resident_bytes: u64) -> bool {
        resident_bytes as f64 >= NEAR_FRACTION * self.limit_bytes() as f64
    }
}

/// What a ground takes in memory that travels as so many bytes once they are unpacked.
pub(crate) const fn ground_bytes(unpacked: u64) -> u64 {
    unpacked / IN_MEMORY.1 * IN_MEMORY.0
}

/// What this process holds (resident), bytes; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    fn config(set: &[(&str, &str)]) -> Config {
        let env = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let inputs = Inputs { env, working_dir: "/nowhere".into(), ..Inputs::default() };
        load(&inputs).unwrap().config
    }

    #[test]
    fn what_cannot_fit_is_refused_with_what_would() {
        let of = |set: &[(&str, &str)]| MemoryPlan::of(&config(set), None);
        assert_eq!(of(&[]).unwrap(), None);
        // 4 symbols x 790 days x 96 candles x 96 bytes x 4 copies = 116.5 MB.
        assert_eq!(candles_mb(&config(&[])), 117);
        let why = of(&[("SG__DAEMON__MAX_MEMORY_MB", "300")]).unwrap_err().to_string();
        assert!(why.contains("533 MB are needed") && why.contains("256 for engine.cache_mb"), "{why}");
        assert!(why.contains("set it to 593 or more"), "{why}");
        let just = of(&[("SG__DAEMON__MAX_MEMORY_MB", "593")]).unwrap();
        assert_eq!(just, Some(MemoryPlan { limit_mb: 593, work_mb: 32, market_mb: 117 }));
        let less = [("SG__DAEMON__MAX_MEMORY_MB", "340"), ("SG__ENGINE__CACHE_MB", "16")];
        let plan = of(&less).unwrap().unwrap();
        let work_mb = 306 - 128 - 16 - 117;
        assert_eq!(plan, MemoryPlan { limit_mb: 340, work_mb, market_mb: work_mb + 117 - 32 });
        assert!(plan.is_near(306_000_000) && !plan.is_near(305_000_000));
    }

    #[test]
    fn a_ranked_market_counts_by_what_is_there_of_it() {
        let of = |symbols: usize| MarketSize { symbols, span_ms: 2_190 * DAY_MS, interval: Interval::H4 };
        // 350 symbols x 2,190 days x 6 candles x 96 bytes x 2 copies = 883 MB, and 320 MiB that are kept beside them.
        assert_eq!((of(350).mb(), of(0).mb()), (1_219, 336));
        let with = |mb: &str, market| MemoryPlan::of(&config(&[("SG__DAEMON__MAX_MEMORY_MB", mb)]), Some(market));
        let why = with("800", of(350)).unwrap_err().to_string();
        assert!(why.contains("1635 MB are needed") && why.contains("350 symbols of it are cached"), "{why}");
        assert!(why.contains("set it to 1817 or more"), "{why}");
        let plan = with("1817", of(350)).unwrap().unwrap();
        assert_eq!((plan.work_mb, plan.market_mb), (32, 1_219));
        assert!(plan.admits(of(350)).is_ok());
        // More are listed than there were at the start.
        let why = plan.admits(of(360)).unwrap_err().to_string();
        assert!(why.contains("360 symbols over 2190 days of 4h candles take up to 1244 MB"), "{why}");
        assert!(why.contains("1219 MB are left") && why.contains("set it to 1845 or more"), "{why}");
        // Hardly a candle: what is kept beside it counts all the same.
        let small = MarketSize { symbols: 10, span_ms: 30 * DAY_MS, interval: Interval::H4 };
        assert_eq!(with("900", small).unwrap().unwrap().work_mb, 810 - 128 - 256 - 336);
    }

    #[test]
    fn the_process_knows_what_it_holds() {
        let held = resident_bytes().unwrap();
        assert!(held > 1 << 20, "{held}");
    }
}
