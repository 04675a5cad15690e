//! What a book's pipeline is made of, and what makes it this one and no other. Walks nothing.

use super::ranked::RankedSpec;
use super::whole_market::Which;
use crate::config::{BookMarket, Config};
use anyhow::Context as _;
use book::{BookConfig, Pipeline, Rules};
use candles::MarketKind;
use engine::ModelsUsed;
use genome::random::Seed;
use lifecycle::EdgeDecayConfig;
use portfolio::PortfolioTerms;
use search::SearchConfig;
use std::collections::BTreeMap;

/// A pipeline by its settings.
#[derive(Clone, Debug)]
pub(crate) struct BookSetup {
    pub(crate) market: MarketKind,
    pub(crate) of: BookMarket,
    pub(crate) search: SearchConfig,
    pub(crate) book: BookConfig,
    pub(crate) decay: EdgeDecayConfig,
    pub(crate) terms: PortfolioTerms,
    pub(crate) seed: Seed,
    /// History that a new one walks, days.
    pub(crate) history_days: u32,
}

/// Names of what is an object as JSON.
const SEARCH: &str = "search settings";
const BOOK: &str = "book settings";
const DECAY: &str = "detectors' settings";
const TERMS: &str = "costs and terms";

impl BookSetup {
    /// As the settings say; `None` where they name no book's market.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let of = config.daemon.book.clone()?;
        let terms = PortfolioTerms {
            initial_capital: config.engine.initial_capital,
            costs: config.costs.of(config.daemon.market),
            execution: config.portfolio.execution,
            ..PortfolioTerms::default()
        };
        Some(Self {
            market: config.daemon.market,
            search: config.book.search(&config.search, of.interval),
            of,
            book: config.book.clone(),
            decay: config.staying.clone(),
            terms,
            seed: Seed(config.daemon.seed),
            history_days: config.daemon.rehearse_history,
        })
    }

    /// What makes it this pipeline and no other, by name.
    pub(crate) fn identity(&self) -> BTreeMap<String, String> {
        // Plain data with text keys: it always serialises.
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        [
            ("market", format!("{} *{}:{}", self.market, self.of.quote, self.of.interval)),
            ("seed", self.seed.0.to_string()),
            ("version of the pipeline", book::VERSION.to_string()),
            (SEARCH, json(serde_json::to_string(&self.search))),
            (BOOK, json(serde_json::to_string(&self.book))),
            (DECAY, json(serde_json::to_string(&self.decay))),
            (TERMS, json(serde_json::to_string(&self.terms))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The settings of a stored book, whatever those of now are.
    ///
    /// # Errors
    /// Where they are of a program whose settings had another form.
    pub(crate) fn stored(row: &store::BookRow) -> anyhow::Result<Self> {
        fn read<T: serde::de::DeserializeOwned>(row: &store::BookRow, name: &str) -> anyhow::Result<T> {
            let text = row.identity.get(name).with_context(|| format!("book {} has no {name}", row.number))?;
            serde_json::from_str(text).with_context(|| format!("the {name} of book {} do not read", row.number))
        }
        let history_days = (row.began_ms - row.from_ms) / candles::time::DAY_MS;
        Ok(Self {
            market: row.market,
            of: BookMarket { quote: row.quote.clone(), interval: row.interval },
            search: read(row, SEARCH)?,
            book: read(row, BOOK)?,
            decay: read(row, DECAY)?,
            terms: read(row, TERMS)?,
            seed: row.seed,
            history_days: u32::try_from(history_days).unwrap_or(0),
        })
    }

    /// By what the days of a stored book are judged.
    pub(crate) fn rules(&self, row: &store::BookRow) -> Rules<'_> {
        let seed = row.seed.child("course", 0);
        Rules { book: &self.book, decay: &self.decay, pipeline: row.number, began_ms: row.began_ms, seed }
    }

    pub(crate) const fn pipeline(&self) -> Pipeline<'_> {
        Pipeline { search: &self.search, book: &self.book, terms: self.terms }
    }
}

/// The candles that a stored book looks at, up to a time: of the symbols that there were, and of those listed since.
pub(crate) fn market_of(row: &store::BookRow, to_ms: i64) -> RankedSpec {
    let which = Which::Named {
        symbols: row.symbols.clone(),
        listed_since: Some((row.began_ms, row.quote.clone())),
        from_ms: row.first_ms,
    };
    // The book's own search is offered no models.
    RankedSpec { market: row.market, interval: row.interval, which, to_ms, models: ModelsUsed::default() }
}

/// What of a pipeline differs from another, by name.
pub(crate) fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}
