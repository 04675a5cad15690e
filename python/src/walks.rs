//! A book's walk, block by block: bytes in, bytes with one block more out.
//!
//! A block depends on the walk before it, the market and the settings alone. Bytes are those of the program's checkpoints,
//! with a digest; they go on only with the same settings and candles.

use crate::{
    computed, read,
    series::Candles,
    strategies::{TermsRead, venue},
    written, wrong,
};
use book::{BookConfig, Pipeline, Traded, Walk, Walker};
use candles::{InstrumentTable, Interval};
use genome::random::Seed;
use portfolio::{Execution, Panel, PortfolioTerms};
use pyo3::{prelude::*, types::PyBytes};
use search::SearchConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How books are chosen and traded; what is not said is as the program has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    seed: u64,
    timeframe: Interval,
    search: SearchConfig,
    book: BookConfig,
    terms: TermsRead,
    execution: Execution,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            timeframe: Interval::H4,
            search: SearchConfig::default(),
            book: BookConfig::default(),
            terms: TermsRead::default(),
            execution: Execution::realistic(),
        }
    }
}

/// What makes walks those of these settings and candles.
fn identity(settings: &Settings, candles: &[Py<Candles>], py: Python<'_>) -> PyResult<BTreeMap<String, String>> {
    let mut hasher = Sha256::new();
    for candles in candles {
        hasher.update(candles.get().to_bytes(py)?.as_bytes());
    }
    let settings = hex::encode(Sha256::digest(written("settings", settings)?));
    Ok(BTreeMap::from([
        ("build".to_owned(), crate::CODE_VERSION.to_owned()),
        ("candles".to_owned(), hex::encode(hasher.finalize())),
        ("settings".to_owned(), settings),
    ]))
}

/// A walk at its beginning: from one 00:00 UTC to another, with a whole calendar month between at least.
#[pyfunction]
pub(crate) fn walk_begin<'py>(
    py: Python<'py>,
    candles: Vec<Py<Candles>>,
    settings: &str,
    span_ms: (i64, i64),
) -> PyResult<Bound<'py, PyBytes>> {
    let settings: Settings = read("settings", settings)?;
    let walk = Walk::begin(Seed(settings.seed), span_ms.0, span_ms.1).map_err(|error| wrong("walk", error))?;
    Ok(PyBytes::new(py, &Walk::to_bytes(&[walk], &identity(&settings, &candles, py)?)))
}

fn one(bytes: &[u8], identity: &BTreeMap<String, String>) -> PyResult<Walk> {
    let walks = Walk::from_bytes(bytes, identity).map_err(|error| wrong("walk", error))?;
    let [walk] = <[Walk; 1]>::try_from(walks).map_err(|walks| wrong("walk", format!("{} in one", walks.len())))?;
    Ok(walk)
}

/// The walk with one block more; a walk that is over, as it is.
#[pyfunction]
pub(crate) fn walk_block<'py>(
    py: Python<'py>,
    candles: Vec<Py<Candles>>,
    settings: &str,
    walk: &[u8],
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings: Settings = read("settings", settings)?;
    settings.book.validate().map_err(|error| wrong("settings.book", error))?;
    let search = settings.book.search(&settings.search, settings.timeframe);
    search.validate().map_err(|error| wrong("settings.search", error))?;
    let market = venue(&candles)?;
    let terms = settings.terms.on(market)?;
    let terms = PortfolioTerms {
        initial_capital: terms.initial_capital,
        costs: terms.costs,
        execution: settings.execution,
        fill_on: terms.fill_on,
    };
    terms.validate().map_err(|error| wrong("settings", error))?;
    let identity = identity(&settings, &candles, py)?;
    let walk = one(walk, &identity)?;
    let tickers: Vec<_> = candles.iter().map(|candles| candles.get().ticker()).collect();
    let bytes = computed(py, threads, || {
        let panel = Panel::new(market, settings.timeframe, tickers, &InstrumentTable::default())
            .map_err(|error| wrong("market", error))?;
        let pipeline = Pipeline { search: &search, book: &settings.book, terms };
        let mut walker = Walker::new(pipeline, &panel, walk).map_err(|error| wrong("walk", error))?;
        walker.advance().map_err(|error| wrong("block", error))?;
        Ok(Walk::to_bytes(std::slice::from_ref(walker.walk()), &identity))
    })?;
    Ok(PyBytes::new(py, &bytes))
}

#[derive(Serialize)]
struct Told<'a> {
    planned: usize,
    finished: bool,
    blocks: &'a [Traded],
}

/// What a walk has come to, as JSON: how many blocks there are to be, whether it is over, its blocks with members and days.
#[pyfunction]
pub(crate) fn walk_told(py: Python<'_>, candles: Vec<Py<Candles>>, settings: &str, walk: &[u8]) -> PyResult<String> {
    let walk = one(walk, &identity(&read("settings", settings)?, &candles, py)?)?;
    written("walk", &Told { planned: walk.planned(), finished: walk.is_finished(), blocks: walk.blocks() })
}
