//! What the name of another program's file says, whole: pair, interval, and what follows them. Reads no file.
//!
//! A name that says something that is not understood is refused, never read as far as it is: what follows the interval
//! tells candles that were traded from prices that were not.

use super::interval_of;
use crate::dumps::{Contract, contract_of, market_said};
use candles::{Interval, MarketKind, Symbol};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Whose way of naming files it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// `SYMBOL-INTERVAL` or `SYMBOL_INTERVAL`, dates may follow. Says nothing of the market, but for `-spot`,
    /// `-futures` and contracts.
    #[default]
    Plain,
    /// freqtrade's: as above, and without `-futures` it is spot.
    Freqtrade,
}

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Which symbol.
    pub symbol: Option<Symbol>,
    /// Which interval. Without one the name is none of ours, and the symbol only a guess.
    pub interval: Option<Interval>,
    /// Which market.
    pub market: Option<MarketKind>,
}

/// What is not traded candles, in the words of programs that write such files beside them.
const NOT_CANDLES: [&str; 16] = [
    "mark",
    "index",
    "premiumindex",
    "funding_rate",
    "fundingrate",
    "funding",
    "markprice",
    "markpriceklines",
    "indexpriceklines",
    "premiumindexklines",
    "trades",
    "aggtrades",
    "bookticker",
    "bookdepth",
    "metrics",
    "borrow_rate",
];

impl Named {
    /// Reads a path.
    ///
    /// # Errors
    /// Why the file is not one of candles that have a place here.
    pub fn of(path: &Path, naming: Naming) -> Result<Self, String> {
        market_said(path).map_err(|e| e.to_string())?;
        let stem = path.file_stem().and_then(|s| s.to_str()).ok_or("its name is not text")?;
        let pieces: Vec<&str> = stem.split(['-', '_']).collect();
        let found = pieces.iter().enumerate().skip(1).find_map(|(i, piece)| Some((i, interval_of(piece)?)));
        let Some((at, interval)) = found else {
            if let Some(word) = pieces.iter().skip(1).find(|piece| is_not_candles(piece)) {
                return Err(not_candles(word));
            }
            let symbol = if pieces.len() <= 2 { whole_symbol(&pieces.concat()) } else { None };
            return Ok(Self { symbol, interval: None, market: None });
        };
        // One separator stands before each piece.
        let rest_at = pieces[..=at].iter().map(|piece| piece.len() + 1).sum::<usize>();
        let rest = stem.get(rest_at..).unwrap_or_default();
        let said = kind_of(rest)?;
        let (symbol, contract) = pair(&pieces[..at], said == Some(MarketKind::Um))?;
        let market = match (contract, said) {
            (Some(contract), Some(said)) if contract != said => {
                return Err(format!(
                    "its name says {said}, and {} is a contract of {contract}",
                    pieces[..at].join("_")
                ));
            }
            (contract, said) => contract.or(said),
        };
        let is_spot = market.is_none() && naming == Naming::Freqtrade;
        let market = if is_spot { Some(MarketKind::Spot) } else { market };
        Ok(Self { symbol: Some(symbol), interval: Some(interval), market })
    }
}

fn is_not_candles(word: &str) -> bool {
    NOT_CANDLES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn not_candles(word: &str) -> String {
    format!("its name says {word}: not the prices that were traded, so no candles")
}

/// The market that what follows the interval says, if it says one.
fn kind_of(rest: &str) -> Result<Option<MarketKind>, String> {
    let is_date = |piece: &str| !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if rest.is_empty() || rest.split(['-', '_']).all(is_date) {
        return Ok(None);
    }
    if rest.eq_ignore_ascii_case("futures") {
        return Ok(Some(MarketKind::Um));
    }
    if rest.eq_ignore_ascii_case("spot") {
        return Ok(Some(MarketKind::Spot));
    }
    if let Some(word) = std::iter::once(rest).chain(rest.split(['-', '_'])).find(|word| is_not_candles(word)) {
        return Err(not_candles(word));
    }
    Err(format!("its name says {rest:?} after the interval, which is not understood; rename it if it holds candles"))
}

/// The symbol of a pair, and the market where the pair is one of futures.
fn pair(pieces: &[&str], is_futures: bool) -> Result<(Symbol, Option<MarketKind>), String> {
    let shown = pieces.join("_");
    let coin_margined = || format!("{shown} is of coin-margined futures, which are neither spot nor USD-M");
    let is_date = |piece: &str| piece.len() == 6 && piece.bytes().all(|b| b.is_ascii_digit());
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let (name, settles) = match *pieces {
        [one] => (one.to_owned(), None),
        [pair, contract] if is_date(contract) || same(contract, "PERP") => (format!("{pair}_{contract}"), None),
        [base, quote] => (format!("{base}{quote}"), Some((quote, quote))),
        [base, quote, date] if is_date(date) => (format!("{base}{quote}_{date}"), Some((quote, quote))),
        [base, quote, settle] => (format!("{base}{quote}"), Some((quote, settle))),
        [base, quote, settle, date] if is_date(date) => (format!("{base}{quote}_{date}"), Some((quote, settle))),
        _ => return Err(format!("{shown} is no pair: BASE_QUOTE, or BASE_QUOTE_SETTLE of futures")),
    };
    let is_in_usd = is_futures && name.to_ascii_uppercase().ends_with("USD");
    if is_in_usd || settles.is_some_and(|(quote, settle)| !same(quote, settle)) {
        return Err(coin_margined());
    }
    let symbol = whole_symbol(&name)
        .ok_or_else(|| format!("its symbol {name:?} cannot be kept: symbols are 1 to 20 of A-Z, 0-9, _ and ."))?;
    match contract_of(&symbol) {
        Some(Contract::CoinMargined) => Err(coin_margined()),
        Some(Contract::Delivery) => Ok((symbol, Some(MarketKind::Um))),
        None => Ok((symbol, (pieces.len() == 3).then_some(MarketKind::Um))),
    }
}

/// A symbol whose name is all of the text.
fn whole_symbol(text: &str) -> Option<Symbol> {
    text.parse::<Symbol>().ok().filter(|read| read.as_str().eq_ignore_ascii_case(text))
}

/// What a file is: what its name says, else what the caller or the mapping says. Where two of them speak, they must
/// agree.
pub(super) fn agreed<T: PartialEq + std::fmt::Display>(
    named: Option<T>,
    asked: (&str, Option<T>),
    mapped: Option<T>,
) -> Result<Option<T>, String> {
    match (&named, &asked.1, &mapped) {
        (Some(named), Some(asked_for), _) if named != asked_for => {
            Err(format!("its name says {named}, {} says {asked_for}", asked.0))
        }
        (Some(named), None, Some(mapped)) if named != mapped => {
            Err(format!("its name says {named}, the mapping says {mapped}"))
        }
        _ => Ok(named.or(asked.1).or(mapped)),
    }
}
