//! Revised candles and funding payments dealt with: what rested on them is computed again, and the gate asked anew. So
//! are, once, results of an earlier meaning of the engine.
//!
//! Once a day archives that were merged are held against their checksums, and funding is read again: that is how a
//! reissued month shows. Decides nothing itself.

use super::affected::affected;
use super::candle_source::{CandleSource, is_paid_in};
use super::meaning::A_PASS;
use super::parts::{Did, Gates, Process, Turn};
use super::rescore::{Cause, Rescorer};
use super::revisions::{Change, changes, record};
use crate::config::DaemonConfig;
use candles::time::DAY_MS;
use candles::{MarketKind, Symbol};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between two looks at whether archives were reissued and funding was revised.
const RECHECK: Duration = Duration::from_secs(86_400);

/// Looks for revised candles and deals with them.
pub(crate) struct RevisionWatch {
    candles: CandleSource,
    gates: Gates,
    settings: DaemonConfig,
    process: Process,
    /// Hashes of former contents that are dealt with: they need not be read again.
    settled: BTreeSet<String>,
    /// When archives and funding were last looked at again.
    rechecked: Option<Instant>,
    /// No stored result is of an earlier meaning of the engine.
    caught_up: bool,
}

impl RevisionWatch {
    pub(crate) fn new(candles: CandleSource, gates: Gates, settings: DaemonConfig, process: Process) -> Self {
        Self { candles, gates, settings, process, settled: BTreeSet::new(), rechecked: None, caught_up: false }
    }

    /// Looks, once a day, whether what was fetched of the followed symbols is still what the exchange gives.
    async fn recheck(&mut self) -> anyhow::Result<()> {
        if self.rechecked.is_some_and(|at| at.elapsed() < RECHECK) {
            return Ok(());
        }
        let (candles, settings) = (&self.candles, &self.settings);
        let followed: BTreeSet<&Symbol> = settings.symbols.iter().chain(&settings.shadow_symbols).collect();
        let symbols: Vec<Symbol> = followed.into_iter().cloned().collect();
        candles.downloader.recheck(candles.market, &symbols, settings.interval).await;
        for (quote, interval) in settings.ranked() {
            let mut market = candles.cache.symbols(candles.market).await?;
            market.retain(|symbol| is_paid_in(symbol, quote));
            candles.downloader.recheck(candles.market, &market, interval).await;
        }
        if candles.market == MarketKind::Um {
            for symbol in &symbols {
                let oldest_ms = candles.cache.oldest_funding_ms(symbol).await?;
                // Results are at most as old as what sessions look at, and a payment is revised soon or never.
                let Some(newest_ms) = candles.cache.newest_funding_ms(symbol).await? else { continue };
                let span_ms = i64::from(settings.backtest_days + settings.holdout_days) * DAY_MS + settings.warmup_ms();
                let from_ms = oldest_ms.unwrap_or(newest_ms).max(newest_ms - span_ms);
                candles.feed.refresh_funding(std::slice::from_ref(symbol), from_ms, true).await;
            }
        }
        self.rechecked = Some(Instant::now());
        Ok(())
    }

    fn rescorer(&self) -> Rescorer<'_> {
        Rescorer {
            cached: self.candles.cached(),
            store: &self.process.store,
            gate: self.gates.gate.as_ref(),
            channels: &self.process.channels,
            recent_trades: self.gates.recent_trades(),
            warmup_ms: self.settings.warmup_ms(),
            quality: self.candles.quality,
        }
    }

    /// Looks, and deals with what is new.
    ///
    /// # Errors
    /// When the store does not answer or the cache cannot be read.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        let mut turn = Turn::new(&self.process.store, "revisions");
        let caught_up = self.catch_up(&mut turn).await?;
        let revised = self.revised(&mut turn).await?;
        Ok(if revised == Did::Nothing { caught_up } else { revised })
    }

    /// Results of an earlier meaning of the engine, some at a time.
    async fn catch_up(&mut self, turn: &mut Turn) -> anyhow::Result<Did> {
        if self.caught_up {
            return Ok(Did::Nothing);
        }
        if !turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let done = self.rescorer().catch_up(&turn.token()?, A_PASS, &self.process.stop).await?;
        self.caught_up = done.is_done;
        Ok(if done.outcomes.is_empty() { Did::Nothing } else { Did::Work })
    }

    async fn revised(&mut self, turn: &mut Turn) -> anyhow::Result<Did> {
        self.recheck().await?;
        let (cache, store) = (&self.candles.cache, &self.process.store);
        let found = changes(cache, |sha256| !self.settled.contains(sha256)).await?;
        if found.is_empty() {
            return Ok(Did::Nothing);
        }
        if !turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let open = record(store, &found).await?;
        let all: Vec<String> = found.iter().map(|c| c.old_sha256.clone()).collect();
        if open.is_empty() {
            self.settled.extend(all);
            return Ok(Did::Nothing);
        }
        let hashes: BTreeSet<&str> = open.iter().map(|r| r.old_sha256.as_str()).collect();
        let found: Vec<Change> = found.into_iter().filter(|c| hashes.contains(c.old_sha256.as_str())).collect();
        let affected = affected(self.candles.cached(), store, &found).await?;
        self.rescorer().rescore(&turn.token()?, &Cause::revised(&open), &affected.strategies).await?;
        for revision in &open {
            store.revision_handled(revision.id).await?;
        }
        self.settled.extend(all);
        Ok(Did::Work)
    }
}
