//! Faults on request: answers that fail, and candles that are missing, late or revised.
//!
//! Deterministic: whether a request fails depends on the seed, the request's text and how often the same request
//! came before; whether a candle is faulty depends on the seed, symbol and time alone.

use candles::Symbol;
use genome::random::Seed;
use serde::{Deserialize, Serialize};
use simulated::BaseCandle;
use simulated::SymbolSpec;
use std::{collections::HashMap, fmt, str::FromStr};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 with `Retry-After`: `delay_ms`, 1 s if not given.
    TooManyRequests,
    /// 418 with `Retry-After`: `delay_ms`, 2 s if not given.
    Banned,
    /// 500 with Binance's body.
    #[serde(rename = "status_500")]
    Status500,
    /// 502 with a proxy's HTML.
    #[serde(rename = "status_502")]
    Status502,
    /// 503 without a body.
    #[serde(rename = "status_503")]
    Status503,
    /// No answer for `delay_ms` wall ms (60 s if not given), then a closed connection's 504.
    Hang,
    /// 200 with HTML in place of JSON.
    Html,
    /// 200 with JSON cut off in the middle.
    Truncated,
    /// 200 without a body.
    Empty,
    /// A quarter of an hour without candles, for ever.
    Gap,
    /// A quarter of an hour whose candles appear only `delay_ms` simulated ms after its end (30 min if not given).
    Late,
    /// A quarter of an hour with wrong values, corrected `delay_ms` simulated ms after its end (1 h if not given).
    Revised,
    /// A quarter of an hour with other values from the moment on that this fault is there, in REST and archives alike:
    /// what an exchange does that issues a month anew.
    Reissued,
    /// An archive's checksum file that is not the archive's.
    Checksum,
}

const NAMES: [(&str, FaultKind); 14] = [
    ("too_many_requests", FaultKind::TooManyRequests),
    ("banned", FaultKind::Banned),
    ("status_500", FaultKind::Status500),
    ("status_502", FaultKind::Status502),
    ("status_503", FaultKind::Status503),
    ("hang", FaultKind::Hang),
    ("html", FaultKind::Html),
    ("truncated", FaultKind::Truncated),
    ("empty", FaultKind::Empty),
    ("gap", FaultKind::Gap),
    ("late", FaultKind::Late),
    ("revised", FaultKind::Revised),
    ("reissued", FaultKind::Reissued),
    ("checksum", FaultKind::Checksum),
];

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(NAMES.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

impl FaultKind {
    fn is_of_candles(self) -> bool {
        matches!(self, Self::Gap | Self::Late | Self::Revised | Self::Reissued)
    }
}

/// A fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Share of requests, or of quarter hours, that are struck: 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Strikes only this symbol.
    #[serde(default)]
    pub symbol: Option<Symbol>,
    /// Strikes only requests for this endpoint: `klines`, `time`, `exchangeInfo`, `fundingRate`, `premiumIndexKlines`,
    /// `ticker`, `ping`, `dump`, `checksum`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Strikes from this simulated time on (candles: those that open then), UTC ms.
    #[serde(default)]
    pub from_ms: Option<i64>,
    /// Strikes before this simulated time, UTC ms.
    #[serde(default)]
    pub to_ms: Option<i64>,
    /// Strikes at most so many requests. Without meaning for candles.
    #[serde(default)]
    pub times: Option<u32>,
    /// A delay whose meaning depends on the kind.
    #[serde(default)]
    pub delay_ms: Option<i64>,
}

fn always() -> f64 {
    1.0
}

impl FaultSpec {
    /// A fault that always strikes.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self {
            kind,
            probability: 1.0,
            symbol: None,
            endpoint: None,
            from_ms: None,
            to_ms: None,
            times: None,
            delay_ms: None,
        }
    }

    /// A fault that strikes with a probability.
    #[must_use]
    pub fn sometimes(kind: FaultKind, probability: f64) -> Self {
        Self { probability, ..Self::always(kind) }
    }

    fn holds_at(&self, time_ms: i64) -> bool {
        self.from_ms.is_none_or(|from| time_ms >= from) && self.to_ms.is_none_or(|to| time_ms < to)
    }
}

impl FromStr for FaultSpec {
    type Err = String;
    /// `KIND[:PROBABILITY[:KEY=VALUE,...]]` with the keys symbol, endpoint, from_ms, to_ms, times and delay_ms.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let kind = NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
            format!("unknown fault {name:?}; expected one of {}", NAMES.map(|(name, _)| name).join(", "))
        })?;
        let mut fault = Self::always(kind);
        if let Some(probability) = parts.next() {
            fault.probability = probability
                .parse()
                .ok()
                .filter(|p| (0.0..=1.0).contains(p))
                .ok_or_else(|| format!("probability {probability:?} of fault {name}: expected 0 to 1"))?;
        }
        for pair in parts.next().into_iter().flat_map(|pairs| pairs.split(',')) {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("fault {name}: expected KEY=VALUE, not {pair:?}"))?;
            let wrong = || format!("fault {name}: {value:?} is no value for {key}");
            match key {
                "symbol" => fault.symbol = Some(value.parse()?),
                "endpoint" => fault.endpoint = Some(value.to_owned()),
                "from_ms" => fault.from_ms = Some(value.parse().map_err(|_| wrong())?),
                "to_ms" => fault.to_ms = Some(value.parse().map_err(|_| wrong())?),
                "times" => fault.times = Some(value.parse().map_err(|_| wrong())?),
                "delay_ms" => fault.delay_ms = Some(value.parse().map_err(|_| wrong())?),
                _ => return Err(format!("fault {name}: unknown key {key:?}")),
            }
        }
        Ok(fault)
    }
}

/// The faults in force, and what they have done.
#[derive(Debug)]
pub(super) struct Faults {
    seed: Seed,
    /// With how often each has struck.
    specs: Vec<(FaultSpec, u32)>,
    /// How often each request was made, by digest of its text.
    seen: HashMap<u64, u64>,
}

impl Faults {
    pub(super) fn new(seed: Seed, specs: Vec<FaultSpec>) -> Self {
        let specs = specs.into_iter().map(|spec| (spec, 0)).collect();
        Self { seed: seed.child("faults", 0), specs, seen: HashMap::new() }
    }

    pub(super) fn add(&mut self, spec: FaultSpec) {
        self.specs.push((spec, 0));
    }

    pub(super) fn clear(&mut self) {
        self.specs.clear();
    }

    /// Each fault with how often it has struck requests.
    pub(super) fn list(&self) -> &[(FaultSpec, u32)] {
        &self.specs
    }

    /// The fault that strikes this request, if one does: the first that is drawn.
    pub(super) fn strike(
        &mut self,
        endpoint: &str,
        query: &str,
        symbol: Option<&str>,
        now_ms: i64,
    ) -> Option<FaultSpec> {
        if self.specs.iter().all(|(spec, _)| spec.kind.is_of_candles()) {
            return None;
        }
        let request = self.seed.child(endpoint, 0).child(query, 0);
        let before = self.seen.entry(request.0).or_insert(0);
        *before += 1;
        let draw = request.child("draw", *before);
        self.specs.iter_mut().enumerate().find_map(|(i, (spec, struck))| {
            let struck_here = !spec.kind.is_of_candles()
                && spec.holds_at(now_ms)
                && spec.times.is_none_or(|times| *struck < times)
                && spec.endpoint.as_ref().is_none_or(|wanted| wanted == endpoint)
                && spec.symbol.as_ref().is_none_or(|wanted| symbol == Some(wanted.as_str()))
                && fraction(draw.child("fault", i as u64)) < spec.probability;
            struck_here.then(|| {
                *struck += 1;
                spec.clone()
            })
        })
    }

    /// The faults of one symbol's candles; `None` where there is none.
    pub(super) fn of_candles(&self, symbol: &SymbolSpec) -> Option<CandleFaults> {
        let specs: Vec<_> = self
            .specs
            .iter()
            .map(|(spec, _)| spec)
            .enumerate()
            .filter(|(_, s)| s.kind.is_of_candles() && s.symbol.as_ref().is_none_or(|wanted| *wanted == symbol.symbol))
            .map(|(i, spec)| (self.seed.child("candles", i as u64).child(symbol.symbol.as_str(), 0), spec.clone()))
            .collect();
        (!specs.is_empty()).then(|| CandleFaults { specs, symbol: symbol.clone() })
    }
}

/// Candle faults work on whole quarter hours (or base candles where these are longer), so that candles of all
/// intervals tell the same story.
const BLOCK_MS: i64 = 900_000;

/// The faults of one symbol's candles.
#[derive(Debug)]
pub(super) struct CandleFaults {
    specs: Vec<(Seed, FaultSpec)>,
    symbol: SymbolSpec,
}

impl CandleFaults {
    /// What of a base candle of length `base_ms` is shown at `now_ms`; `None` when it is missing.
    pub(super) fn shown(&self, open_ms: i64, base_ms: i64, now_ms: i64, candle: BaseCandle) -> Option<BaseCandle> {
        let length = BLOCK_MS.max(base_ms);
        let block_ms = open_ms.div_euclid(length) * length;
        let mut shown = candle;
        for (seed, spec) in &self.specs {
            let draw = seed.child("block", block_ms as u64);
            if !spec.holds_at(open_ms) || fraction(draw) >= spec.probability {
                continue;
            }
            let until_ms = |default: i64| block_ms + length + spec.delay_ms.unwrap_or(default);
            match spec.kind {
                FaultKind::Gap => return None,
                FaultKind::Late if now_ms < until_ms(1_800_000) => return None,
                FaultKind::Revised if now_ms < until_ms(3_600_000) => self.spoil(&mut shown, draw),
                FaultKind::Reissued => self.spoil(&mut shown, draw),
                _ => {}
            }
        }
        Some(shown)
    }

    /// Half a percent either way at most, and a tenth of the volume missing.
    fn spoil(&self, shown: &mut BaseCandle, draw: Seed) {
        let off = 1.0 + 0.01 * (fraction(draw.child("size", 0)) - 0.5);
        shown.close = self.symbol.on_grid(shown.close * off);
        shown.high = shown.high.max(shown.close);
        shown.low = shown.low.min(shown.close);
        shown.volume -= shown.volume / 10;
        shown.quote -= shown.quote / 10;
        shown.taker -= shown.taker / 10;
        shown.taker_quote -= shown.taker_quote / 10;
    }
}

/// A seed as a number in [0, 1).
fn fraction(seed: Seed) -> f64 {
    (seed.0 >> 11) as f64 / (1_u64 << 53) as f64
}
