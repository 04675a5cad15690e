//! Islands of the search: each with its own symbols or its own market, its candles and its seed.

use candles::{Interval, Symbol};
use serde::Deserialize;
use std::str::FromStr;

/// One island, written `NAME:SYMBOL[+SYMBOL...][:INTERVAL[:SEED]]`: `majors:BTCUSDT+ETHUSDT`, `hourly:SOLUSDT:1h:42`. One that
/// ranks the market has `*` and a quote asset in place of symbols: `book:*USDT:4h`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IslandConfig {
    /// Its name in the store, in metrics and on pages.
    pub name: String,
    /// Symbols that its strategies are searched on; none where it ranks the market.
    pub symbols: Vec<Symbol>,
    /// Its strategies rank all symbols that are paid in this asset.
    pub ranks: Option<String>,
    /// Candles that they are searched on; those of `daemon.interval` without.
    pub interval: Option<Interval>,
    /// Root of its randomness; that of `daemon.seed` without.
    pub seed: Option<u64>,
}

/// Names that sessions of other kinds have.
const TAKEN: [&str; 2] = ["review", "placebo"];

impl FromStr for IslandConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "{text:?} is not an island such as majors:BTCUSDT+ETHUSDT, hourly:SOLUSDT:1h:42 or book:*USDT:4h: {why}"
            )
        };
        let parts: Vec<&str> = text.trim().split(':').collect();
        let (&[name, symbols], rest) = parts.split_at(parts.len().min(2)) else {
            return Err(wrong("it names no symbols".to_owned()));
        };
        if rest.len() > 2 {
            return Err(wrong("it has more than four parts".to_owned()));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
            return Err(wrong("its name must be 1 to 40 of a-z, 0-9, - and _".to_owned()));
        }
        if TAKEN.contains(&name) {
            return Err(wrong(format!("the name {name:?} is taken by the daemon itself")));
        }
        let ranks = symbols.strip_prefix('*').map(str::to_owned);
        if let Some(quote) = &ranks
            && (quote.is_empty()
                || quote.len() > 10
                || !quote.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
        {
            return Err(wrong("after * comes a quote asset such as USDT".to_owned()));
        }
        let named = symbols.split('+').filter(|_| ranks.is_none()).map(str::parse);
        let symbols = named.collect::<Result<Vec<Symbol>, _>>().map_err(wrong)?;
        if let Some(repeated) = symbols.iter().enumerate().find(|(i, s)| symbols[..*i].contains(s)) {
            return Err(wrong(format!("it names {} twice", repeated.1)));
        }
        let part = |i: usize| rest.get(i).copied().filter(|part| !part.is_empty());
        let interval = part(0).map(str::parse::<Interval>).transpose().map_err(|e| wrong(e.to_string()))?;
        let seed = |part: &str| part.parse::<u64>().map_err(|_| wrong(format!("the seed {part:?} is not a number")));
        Ok(Self { name: name.to_owned(), symbols, ranks, interval, seed: part(1).map(seed).transpose()? })
    }
}

/// A whole market and the candles that it is ranked on, written `*USDT:4h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookMarket {
    /// All symbols that are paid in this asset.
    pub quote: String,
    /// Candles.
    pub interval: Interval,
}

impl FromStr for BookMarket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("{text:?} is not a market such as *USDT:4h: {why}");
        // Read as an island that ranks it.
        let island = IslandConfig::from_str(&format!("market:{}", text.trim())).map_err(&wrong)?;
        let parts = (island.ranks, island.interval, island.seed);
        let (Some(quote), Some(interval), None) = parts else {
            return Err(wrong("* and a quote asset, then an interval of candles are expected".to_owned()));
        };
        Ok(Self { quote, interval })
    }
}

impl TryFrom<String> for IslandConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The first name that two islands have.
pub(super) fn repeated(islands: &[IslandConfig]) -> Option<&str> {
    islands.iter().enumerate().find(|(i, a)| islands[..*i].iter().any(|b| a.name == b.name)).map(|(_, a)| &*a.name)
}
