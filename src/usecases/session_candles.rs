//! The candles of a search session, of either form: loaded as the session says, and cut into what its search may look at and
//! what it may not. Fetches nothing, decides nothing.

use super::parts::{Compute, SearchSetup};
use super::portfolio::WholeMarket;
use super::ranked::{self, RankedSpec};
use super::whole_market::Cached;
use super::window::{Loaded, WindowSpec};
use candles::quality::QualityPolicy;
use candles::readings::Readings;
use candles::time::DAY_MS;
use candles::{DataVerdict, Symbol};
use models::Refits;
use protocol::{Halves, RankingHalves, RulesHalves, SplitPanel};
use std::sync::Arc;
use store::NewSession;

/// Candles of a session, with what models predict where it asks some.
pub(crate) struct SessionCandles {
    pub(crate) of: Of,
    /// What it takes to fit the session's models anew on its null markets.
    pub(crate) refits: Option<Arc<Refits>>,
}

/// The candles, by what strategies do with them.
pub(crate) enum Of {
    /// Of some symbols, for strategies of rules.
    Symbols(Loaded),
    /// Of a whole market, for strategies that rank it.
    Market(WholeMarket),
}

impl SessionCandles {
    /// Loads what a session looks at.
    ///
    /// # Errors
    /// When the cache cannot be read or candles are missing altogether.
    pub(crate) async fn load(cached: Cached<'_>, search: &SearchSetup, spec: &NewSession) -> anyhow::Result<Self> {
        Self::load_from(cached, search, spec, spec.window_from_ms - search.warmup_ms()).await
    }

    /// The same from another first candle on.
    ///
    /// # Errors
    /// When the cache cannot be read or candles are missing altogether.
    pub(crate) async fn load_from(
        cached: Cached<'_>,
        search: &SearchSetup,
        spec: &NewSession,
        warmup_from_ms: i64,
    ) -> anyhow::Result<Self> {
        let refits = cached.refits(&search.chosen(), (warmup_from_ms, spec.window_to_ms)).await?.map(Arc::new);
        let models = search.chosen().used();
        if search.ranks.is_some() {
            let looked_at = (spec.market, &spec.symbols[..], spec.timeframe);
            let ranked = RankedSpec::fixed(looked_at, (warmup_from_ms, spec.window_to_ms), models);
            return Ok(Self { of: Of::Market(ranked.load(cached).await?), refits });
        }
        let window = WindowSpec {
            market: spec.market,
            symbols: spec.symbols.clone(),
            interval: spec.timeframe,
            warmup_from_ms,
            to_ms: spec.window_to_ms,
            models,
        };
        Ok(Self { of: Of::Symbols(Loaded::read(cached, window).await?), refits })
    }

    /// Names what was loaded.
    ///
    /// # Errors
    /// When a symbol has no candle in the session's window.
    pub(crate) fn data_version(&self, spec: &NewSession) -> anyhow::Result<String> {
        Ok(match &self.of {
            Of::Symbols(loaded) => loaded.window(spec.window_from_ms, spec.window_to_ms)?.data_version(),
            Of::Market(market) => market.data_version.clone(),
        })
    }

    /// From when on there is something to search, UTC ms: every symbol has candles; of a market, a universe of
    /// `least` names can be chosen.
    pub(crate) fn since_ms(&self, search: &SearchSetup) -> Option<i64> {
        match &self.of {
            Of::Symbols(loaded) => loaded.since_ms(),
            Of::Market(market) => {
                let ranking = &search.search.ranking;
                let firsts = market.panel.instruments().iter().filter_map(|i| i.candles().open_times_ms().first());
                let mut firsts: Vec<i64> = firsts.copied().collect();
                firsts.sort_unstable();
                let least =
                    ranking.universe_top.iter().min().map_or(1, |top| *top as usize).clamp(1, firsts.len().max(1));
                let listed_ms = i64::from(ranking.universe_listed_days) * DAY_MS;
                firsts.get(least - 1).map(|first| first + listed_ms)
            }
        }
    }

    /// Whether the session's candles may count as evidence, and why not.
    pub(crate) fn fit_for_evidence(&self, spec: &NewSession, policy: &QualityPolicy) -> DataVerdict {
        let window = (spec.window_from_ms, spec.window_to_ms);
        match &self.of {
            Of::Symbols(loaded) => loaded.fit_for_evidence(window.0, window.1, policy),
            Of::Market(market) => ranked::fit_for_evidence(&market.panel, window, policy),
        }
    }

    /// Whether a market that is ranked has nothing beside candles.
    pub(crate) fn lacks_readings(&self) -> bool {
        let Of::Market(market) = &self.of else { return false };
        let has_some = |(_, readings): (_, &Readings)| !readings.is_empty();
        let instruments = market.panel.instruments().iter();
        !instruments.clone().any(|i| !i.funding().is_empty() || i.readings().named().into_iter().any(has_some))
    }

    /// Both sides of the session's split.
    ///
    /// # Errors
    /// When candles are missing on one of them.
    pub(crate) fn halves(
        &self,
        spec: &NewSession,
        compute: &Compute,
        search: &SearchSetup,
    ) -> anyhow::Result<Arc<dyn Halves>> {
        let (from_ms, split_ms, to_ms) = (spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms);
        let refits = self.refits.as_ref();
        Ok(match &self.of {
            Of::Symbols(loaded) => {
                let split = loaded.split(from_ms, split_ms, to_ms)?.with_models(refits);
                Arc::new(RulesHalves::new(split, Arc::clone(&compute.engine), compute.terms))
            }
            Of::Market(market) => {
                let split = SplitPanel::cut(&market.panel, from_ms, split_ms, to_ms)?.with_models(refits);
                Arc::new(RankingHalves::new(split, compute.portfolio_terms(), search.search.ranking.clone()))
            }
        })
    }
}

/// Symbols of a session as people are told of them.
pub(crate) fn names(symbols: &[Symbol]) -> String {
    match symbols {
        [] => "no symbol".to_owned(),
        few if few.len() <= 4 => few.iter().map(Symbol::as_str).collect::<Vec<_>>().join(", "),
        many => format!("{} symbols", many.len()),
    }
}
