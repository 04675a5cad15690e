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
/// Share of the limit at which the engine's cache is dropped.
const NEAR_FRACTION: f64 = 0.9;

/// A limit, and what of it goes where, MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// `daemon.max_memory_mb`.
    pub(crate) limit_mb: u64,
    /// What a population may take while it is evaluated.
    pub(crate) work_mb: u64,
}

/// Candles of the largest island of the search in all their copies, MB.
fn candles_mb(config: &Config) -> u64 {
    let settings = &config.daemon;
    let days = u64::from(settings.backtest_days) + u64::from(settings.holdout_days);
    let ms = days * DAY_MS.unsigned_abs() + settings.warmup_ms().unsigned_abs();
    let length_ms = |interval: Interval| interval.fixed_ms().unwrap_or(DAY_MS).unsigned_abs().max(1);
    let of = |(symbols, interval): (Vec<_>, Interval)| symbols.len() as u64 * (ms / length_ms(interval));
    let most = settings.searched().into_iter().map(of).max().unwrap_or(0);
    (most * CANDLE_BYTES * COPIES).div_ceil(1_000_000)
}

impl MemoryPlan {
    /// Of the settings; `None` without a limit.
    ///
    /// # Errors
    /// When the parts that are set do not fit into it.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let limit_mb = config.daemon.max_memory_mb;
        if limit_mb == 0 {
            return Ok(None);
        }
        let (cache_mb, candles_mb) = (config.engine.cache_mb as u64, candles_mb(config));
        let parts_mb = PROGRAM_MB + cache_mb + candles_mb;
        let needed_mb = parts_mb + LEAST_WORK_MB;
        anyhow::ensure!(
            // What is dropped near the limit is dropped before it.
            (limit_mb as f64 * NEAR_FRACTION) as u64 >= needed_mb,
            "daemon.max_memory_mb is {limit_mb}, but {needed_mb} MB are needed within nine tenths of it: {PROGRAM_MB} for the \
             program, {cache_mb} for engine.cache_mb, {candles_mb} for the candles of a session (symbols, days and interval of \
             daemon.*), {LEAST_WORK_MB} to evaluate; set it to {} or more, or engine.cache_mb lower",
            (needed_mb as f64 / NEAR_FRACTION).ceil()
        );
        Ok(Some(Self { limit_mb, work_mb: (limit_mb as f64 * NEAR_FRACTION) as u64 - parts_mb }))
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
        assert_eq!(MemoryPlan::of(&config(&[])).unwrap(), None);
        // 4 symbols x 790 days x 96 candles x 96 bytes x 4 copies = 116.5 MB.
        assert_eq!(candles_mb(&config(&[])), 117);
        let why = MemoryPlan::of(&config(&[("SG__DAEMON__MAX_MEMORY_MB", "300")])).unwrap_err().to_string();
        assert!(why.contains("533 MB are needed") && why.contains("256 for engine.cache_mb"), "{why}");
        assert!(why.contains("set it to 593 or more"), "{why}");
        let just = config(&[("SG__DAEMON__MAX_MEMORY_MB", "593")]);
        assert_eq!(MemoryPlan::of(&just).unwrap(), Some(MemoryPlan { limit_mb: 593, work_mb: 32 }));
        let less = [("SG__DAEMON__MAX_MEMORY_MB", "340"), ("SG__ENGINE__CACHE_MB", "16")];
        let plan = MemoryPlan::of(&config(&less)).unwrap().unwrap();
        assert_eq!(plan, MemoryPlan { limit_mb: 340, work_mb: 306 - 128 - 16 - 117 });
        assert!(plan.is_near(306_000_000) && !plan.is_near(305_000_000));
    }

    #[test]
    fn the_process_knows_what_it_holds() {
        let held = resident_bytes().unwrap();
        assert!(held > 1 << 20, "{held}");
    }
}
