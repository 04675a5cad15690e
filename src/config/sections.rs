//! The sections of the daemon itself.

use super::{BookMarket, IslandConfig};
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol};
use genome::ModelName;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::IntoDeserializer};
use url::Url;

/// Reads a choice through serde's own reader, whose error lists what may be chosen.
fn choice<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(reader)?.into_deserializer())
}

/// An empty text is none.
fn book_market<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<BookMarket>, D::Error> {
    let text = String::deserialize(reader)?;
    (!text.trim().is_empty()).then(|| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// The runners: what they work on, how often, and how patiently.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonConfig {
    /// Symbols that strategies are searched on.
    pub symbols: Vec<Symbol>,
    /// Symbols that shadow and live strategies are followed on; empty means the same.
    pub shadow_symbols: Vec<Symbol>,
    /// Market of these symbols.
    #[serde(deserialize_with = "choice")]
    pub market: MarketKind,
    /// Candles that strategies are searched on.
    pub interval: Interval,
    /// Islands of the search; empty means one, `main`, on the symbols and candles above.
    pub islands: Vec<IslandConfig>,
    /// Between the starts of two search sessions, seconds.
    pub generation_interval_s: u64,
    /// Between two extensions of paper trading, seconds.
    pub shadow_interval_s: u64,
    /// Between two runs of the deployment manager, seconds.
    pub review_interval_s: u64,
    /// Candles that a search session looks at, days.
    pub backtest_days: u32,
    /// The same of a session whose strategies rank the market.
    pub ranking_backtest_days: u32,
    /// Share of the backtests that islands which rank the market get, where islands of both forms are searched, fraction.
    pub ranking_share: f64,
    /// Market whose book is proven and traded; `None` for none.
    #[serde(default, deserialize_with = "book_market")]
    pub book: Option<BookMarket>,
    /// History that a new book walks before its life begins, days.
    pub rehearse_history: u32,
    /// Candles after them that no search sees, days, where there are as many.
    pub holdout_days: u32,
    /// Where there are fewer: as many as there are, but not fewer than these.
    pub holdout_min_days: u32,
    /// Candles before a window on which indicators warm up, days.
    pub warmup_days: u32,
    /// Least warm-up of paper trading, days.
    pub shadow_lookback_days: u32,
    /// Best strategies of a session that stand as candidates.
    pub candidates_per_session: u32,
    /// Root of all randomness.
    pub seed: u64,
    /// Threads that compute; 0 means one for each processor.
    pub threads: u32,
    /// Most memory that the process is to take, MB; 0 means no limit.
    pub max_memory_mb: u64,
    /// Attempts at a failing step before it is parked.
    pub step_attempts: u32,
    /// Wait before the first retry, milliseconds.
    pub retry_min_ms: u64,
    /// Longest wait between retries, milliseconds.
    pub retry_max_ms: u64,
    /// How long a parked step rests, seconds.
    pub park_s: u64,
    /// How long a stop may take, seconds.
    pub shutdown_grace_s: u64,
}

/// Models that strategies may ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// Directory of model files; empty means `models` in the data directory.
    #[serde(default)]
    pub dir: String,
    /// Size above which cached predictions are removed, the oldest first, MB.
    pub cache_budget_mb: u64,
    /// Days after which predictions that nobody asked for are removed.
    pub cache_days: u32,
    /// Names of the models that strategies of the search may ask.
    #[serde(default)]
    pub search: Vec<ModelName>,
}

/// A key (without its section) and why its value makes no sense.
pub(super) type Problem = (&'static str, String);

impl DaemonConfig {
    /// Symbols that a strategy searched on `searched` is followed on.
    #[must_use]
    pub fn followed_symbols<'a>(&'a self, searched: &'a [Symbol]) -> &'a [Symbol] {
        if self.shadow_symbols.is_empty() { searched } else { &self.shadow_symbols }
    }

    /// Quote assets and candles of the markets that are ranked, each once.
    #[must_use]
    pub fn ranked(&self) -> Vec<(&str, Interval)> {
        let of = |island: &'_ IslandConfig| island.interval.unwrap_or(self.interval);
        let each = self.islands.iter().filter_map(|island| Some((island.ranks.as_deref()?, of(island))));
        let mut ranked: Vec<_> = each.collect();
        ranked.sort_unstable();
        ranked.dedup();
        ranked
    }

    /// Symbols and candles that are searched on by rules, each set once.
    #[must_use]
    pub fn searched(&self) -> Vec<(Vec<Symbol>, Interval)> {
        let mut feeds = vec![(self.symbols.clone(), self.interval)];
        for island in self.islands.iter().filter(|island| island.ranks.is_none()) {
            let feed = (island.symbols.clone(), island.interval.unwrap_or(self.interval));
            if !feeds.contains(&feed) {
                feeds.push(feed);
            }
        }
        feeds
    }

    /// Candles before a window on which indicators warm up, ms.
    #[must_use]
    pub fn warmup_ms(&self) -> i64 {
        i64::from(self.warmup_days.max(self.shadow_lookback_days)) * DAY_MS
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        let zero = |key, value: u64| (value == 0).then(|| (key, "must be at least 1".to_owned()));
        let twice = || {
            let mut seen = self.symbols.clone();
            seen.sort();
            let repeated = seen.windows(2).find(|pair| pair[0] == pair[1])?;
            Some(("symbols", format!("names {} twice", repeated[0])))
        };
        let islands = || {
            let name = super::islands::repeated(&self.islands)?;
            Some(("islands", format!("names the island {name:?} twice")))
        };
        let retries = || {
            let why = format!("must not be below daemon.retry_min_ms, which is {}", self.retry_min_ms);
            (self.retry_max_ms < self.retry_min_ms).then_some(("retry_max_ms", why))
        };
        (self.symbols.is_empty().then(|| ("symbols", "must name at least one symbol".to_owned())))
            .or_else(twice)
            .or_else(islands)
            .or_else(|| zero("generation_interval_s", self.generation_interval_s))
            .or_else(|| zero("shadow_interval_s", self.shadow_interval_s))
            .or_else(|| zero("review_interval_s", self.review_interval_s))
            .or_else(|| zero("backtest_days", self.backtest_days.into()))
            .or_else(|| zero("ranking_backtest_days", self.ranking_backtest_days.into()))
            .or_else(|| zero("holdout_days", self.holdout_days.into()))
            .or_else(|| zero("holdout_min_days", self.holdout_min_days.into()))
            .or_else(|| zero("shadow_lookback_days", self.shadow_lookback_days.into()))
            .or_else(|| zero("candidates_per_session", self.candidates_per_session.into()))
            .or_else(|| zero("step_attempts", self.step_attempts.into()))
            .or_else(|| zero("retry_min_ms", self.retry_min_ms))
            .or_else(retries)
            .or_else(|| zero("park_s", self.park_s))
    }
}

/// Work that is shared with workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkConfig {
    /// Whether null searches of sessions are posted for workers.
    pub enabled: bool,
    /// Where what jobs look at lies: a directory, `s3://BUCKET[/PREFIX]`, or for a worker the address of a daemon; `None` for
    /// `work` in the data directory.
    #[serde(default)]
    pub blobs: Option<String>,
    /// Who shows it may fetch from a daemon what jobs look at: the daemon asks for it, workers show it. Without one nobody may.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// How long whoever takes work has it without being heard of, seconds.
    pub lease_s: u64,
}

impl WorkConfig {
    /// The daemon that a worker fetches from, where `blobs` is its address.
    ///
    /// # Errors
    /// When it is one that cannot be asked, and why.
    pub fn daemon(&self) -> Result<Option<Url>, String> {
        let Some(text) = self.blobs.as_deref().filter(|text| text.starts_with("http:") || text.starts_with("https:"))
        else {
            return Ok(None);
        };
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no address: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not hold a user or a password: who may fetch shows work.token".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an address ends with its path: ? and # make no sense in it".to_owned());
        }
        Ok(Some(url))
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        let daemon = match self.daemon() {
            Ok(daemon) => daemon,
            Err(why) => return Some(("blobs", why)),
        };
        let other = self.blobs.as_deref().filter(|text| text.contains("://") && !text.starts_with("s3://"));
        if let Some(text) = other.filter(|_| daemon.is_none()) {
            return Some((
                "blobs",
                format!("{text:?} is no directory, s3://BUCKET[/PREFIX] or http(s)://DAEMON[:PORT]"),
            ));
        }
        let short = self.token.as_ref().is_some_and(|token| token.expose_secret().len() < 16);
        short.then(|| ("token", "must have at least 16 characters".to_owned()))
    }
}

/// The daily review.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewConfig {
    /// Hour of market time from which a day's review is due, UTC, 0 to 23.
    pub hour_utc: u32,
    /// Strategies that it generates and tests; 0 for none.
    pub batch_size: u32,
    /// Between two verifications of the audit trail, seconds.
    pub audit_interval_s: u64,
}

impl ReviewConfig {
    pub(super) fn problem(&self) -> Option<Problem> {
        (self.hour_utc > 23)
            .then(|| ("hour_utc", format!("must be 0 to 23, not {}", self.hour_utc)))
            .or_else(|| (self.audit_interval_s == 0).then(|| ("audit_interval_s", "must be at least 1".to_owned())))
    }
}
