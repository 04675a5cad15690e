//! A market of simulated coins, and a small pipeline for it.

use book::{BookConfig, Pipeline};
use candles::{Interval, time::DAY_MS};
use genome::{random::Seed, variation::RankingVariation};
use portfolio::{Panel, PortfolioTerms};
use search::SearchConfig;
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};

/// 2020-01-01.
pub(crate) const START_MS: i64 = 1_577_836_800_000;

/// A market of coins over so many days, in which momentum of a week earns `sharpe` a year before costs; 0 for nothing.
pub(crate) fn panel(seed: u64, days: u32, sharpe: f64) -> Panel {
    let mut spec = MarketSpec::coins(Seed(seed), START_MS, 16, days).unwrap();
    if sharpe > 0.0 {
        let lasting = EdgeSpec::lasting(EdgeKind::RankMomentum { days: 7 }, Vec::new(), sharpe);
        spec.edges = vec![EdgeSpec { interval: Interval::D1, ..lasting }];
    }
    let market = SimulatedMarket::new(spec).unwrap();
    let end_ms = START_MS + i64::from(days) * DAY_MS;
    protocol::calibration::panel(&market, START_MS, end_ms).unwrap()
}

/// Settings that outlive their pipelines.
pub(crate) struct Settings {
    pub(crate) search: SearchConfig,
    pub(crate) book: BookConfig,
    pub(crate) terms: PortfolioTerms,
}

impl Settings {
    pub(crate) fn small() -> Self {
        let book = BookConfig { search_days: 365, least_days: 90, most_members: 8, ..BookConfig::default() };
        let ranking = RankingVariation {
            universe_top: vec![16],
            universe_volume_days: 20,
            universe_listed_days: 30,
            lookback_days: (1, 30),
            rebalance: vec![Interval::D1],
            ..RankingVariation::default()
        };
        let search = SearchConfig { ranking, ..SearchConfig::default() };
        let search =
            SearchConfig { population_size: 40, generations: 2, elites: 4, ..book.search(&search, Interval::H4) };
        let mut terms = PortfolioTerms::default();
        terms.costs.fee_fraction = 0.0005;
        Self { search, book, terms }
    }

    pub(crate) fn pipeline(&self) -> Pipeline<'_> {
        Pipeline { search: &self.search, book: &self.book, terms: self.terms }
    }
}
