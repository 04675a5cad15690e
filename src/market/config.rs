//! Settings of the market, with their defaults and bounds. Owned here; the configuration file composes them.

use candles::instrument::TableError;
use candles::quality::QualityPolicy;
use candles::{InstrumentTable, MarketKind};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Binance's public hosts.
const BINANCE_SPOT: &str = "https://api.binance.com";
const BINANCE_UM: &str = "https://fapi.binance.com";
const BINANCE_DUMPS: &str = "https://data.binance.vision";
const BINANCE_SPOT_STREAM: &str = "https://stream.binance.com:9443";
const BINANCE_UM_STREAM: &str = "https://fstream.binance.com";

/// Where candles come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// The real exchange.
    #[default]
    Binance,
    /// An exchange that answers as Binance does, at this address for every market: a simulated one.
    Simulated(Url),
}

impl Source {
    /// Whether no real market is behind it.
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }
}

impl TryFrom<String> for Source {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "binance" {
            return Ok(Self::Binance);
        }
        let url = web_url(&text).map_err(|why| {
            format!("{text:?} is neither \"binance\" nor the address of a simulated exchange ({why})")
        })?;
        Ok(Self::Simulated(url))
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Binance => "binance".to_owned(),
            Source::Simulated(url) => url.to_string(),
        }
    }
}

/// Bucket and prefix of `s3://BUCKET[/PREFIX]`.
pub(super) fn s3_location(text: &str) -> Result<(String, String), String> {
    let rest = text.strip_prefix("s3://").ok_or_else(|| format!("{text:?} is no s3://BUCKET[/PREFIX]"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    if bucket.is_empty() {
        return Err(format!("{text:?} names no bucket"));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("it is no http or https address".to_owned())
    }
}

/// Settings of the market.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarketConfig {
    /// `binance`, or the address of a simulated exchange.
    pub source: Source,
    /// Address of the spot REST service, in place of what `source` says.
    pub spot_host: Option<Url>,
    /// Address of the USD-M futures REST service, in place of what `source` says.
    pub um_host: Option<Url>,
    /// Address of the public dumps, in place of what `source` says.
    pub dump_host: Option<Url>,
    /// Address of a proxy for all requests. Without it none is used, whatever the environment says.
    pub proxy: Option<Url>,
    /// An API key to send along. Candles need none. Sent over https only.
    #[serde(skip_serializing)]
    pub api_key: Option<SecretString>,
    /// The secret that belongs to the key: taken so that it is never shown, and not used, for nothing here is signed.
    #[serde(skip_serializing)]
    pub api_secret: Option<SecretString>,
    /// How long one request may take, seconds.
    pub timeout_s: f64,
    /// The share of the exchange's request weight that is used at most; others at this address need some, too.
    pub weight_share: f64,
    /// A request waits at most this long for its turn, seconds; where the exchange asks for more it fails instead.
    pub max_wait_s: u64,
    /// How often a request that may succeed later is repeated.
    pub retries: u32,
    /// Wait before the first repetition, ms; it doubles each time, with jitter.
    pub retry_delay_ms: u64,
    /// After this many failures in a row a host is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone before one request tries it, seconds; doubles with each failed try, up to 16 times.
    pub breaker_cool_off_s: u64,
    /// Requests under way at once.
    pub requests_at_once: usize,
    /// Newest candles read again on each refresh: exchanges revise them now and then.
    pub reread_candles: u32,
    /// Where the candle cache is: `s3://BUCKET[/PREFIX]`, or nothing for the data directory.
    pub cache_url: Option<String>,
    /// Address of the S3 service, where it is not Amazon's.
    pub s3_endpoint: Option<Url>,
    /// Region of the bucket.
    pub s3_region: String,
    /// Key of the S3 service; without one, requests are not signed.
    #[serde(skip_serializing)]
    pub s3_access_key_id: Option<SecretString>,
    /// The secret that belongs to it.
    #[serde(skip_serializing)]
    pub s3_secret_access_key: Option<SecretString>,
    /// Above so many MB months that can be fetched again and that nothing rests on are evicted, the oldest first; 0: never.
    pub cache_budget_mb: u64,
    /// Whether closed candles are told by WebSocket as well; polling goes on and fills what was missed.
    pub stream: bool,
    /// Address of the WebSocket service, in place of what `source` says.
    pub stream_host: Option<Url>,
    /// A TOML file with tables that say how other programs' files are read, by name.
    pub mapping_file: Option<PathBuf>,
    /// A CSV file with the table of instruments, in place of the one that is built in.
    pub instruments_file: Option<PathBuf>,
    /// When candles are good enough to be evidence.
    pub quality: QualityPolicy,
}

impl Default for MarketConfig {
    fn default() -> Self {
        Self {
            source: Source::Binance,
            spot_host: None,
            um_host: None,
            dump_host: None,
            proxy: None,
            api_key: None,
            api_secret: None,
            timeout_s: 10.0,
            weight_share: 0.5,
            max_wait_s: 90,
            retries: 4,
            retry_delay_ms: 500,
            breaker_failures: 8,
            breaker_cool_off_s: 30,
            requests_at_once: 4,
            reread_candles: 3,
            cache_url: None,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: None,
            s3_secret_access_key: None,
            cache_budget_mb: 20_000,
            stream: false,
            stream_host: None,
            mapping_file: None,
            instruments_file: None,
            quality: QualityPolicy::default(),
        }
    }
}

impl MarketConfig {
    /// The table of instruments in force: that of `instruments_file`, or the one that is built in.
    ///
    /// # Errors
    /// In words, when the file cannot be read, is no text, or is no such table.
    pub fn instruments(&self) -> Result<InstrumentTable, String> {
        let Some(path) = &self.instruments_file else { return Ok(InstrumentTable::default()) };
        let said = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let bytes = std::fs::read(path).map_err(|e| said(&e))?;
        crate::text::decode(&bytes).map_err(|e| said(&e))?.parse().map_err(|e: TableError| said(&e))
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key (its name within this section) with a value out of bounds, and why it is.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let between = |key, value: f64, low: f64, high: f64| {
            let fits = (low..=high).contains(&value);
            if fits { Ok(()) } else { Err((key, format!("{value} is not between {low} and {high}"))) }
        };
        between("timeout_s", self.timeout_s, 0.1, 600.0)?;
        between("weight_share", self.weight_share, 0.01, 1.0)?;
        between("max_wait_s", self.max_wait_s as f64, 0.0, 86_400.0)?;
        between("retries", f64::from(self.retries), 0.0, 20.0)?;
        between("retry_delay_ms", self.retry_delay_ms as f64, 1.0, 60_000.0)?;
        between("breaker_failures", f64::from(self.breaker_failures), 1.0, 1_000.0)?;
        between("breaker_cool_off_s", self.breaker_cool_off_s as f64, 1.0, 3_600.0)?;
        between("requests_at_once", self.requests_at_once as f64, 1.0, 64.0)?;
        between("reread_candles", f64::from(self.reread_candles), 1.0, 500.0)?;
        between("quality.max_missing_fraction", self.quality.max_missing_fraction, 0.0, 1.0)?;
        between("quality.max_zero_volume_fraction", self.quality.max_zero_volume_fraction, 0.0, 1.0)?;
        between("quality.jump_fraction", self.quality.jump_fraction, 0.0, 1e6)?;
        between("quality.jump_median_multiple", self.quality.jump_median_multiple, 0.0, 1e6)?;
        between("quality.open_gap_fraction", self.quality.open_gap_fraction, 0.0, 1e6)?;
        between("quality.max_disagreeing_fraction", self.quality.max_disagreeing_fraction, 0.0, 1.0)?;
        between("quality.max_open_ratio", self.quality.max_open_ratio, 1.1, 1e6)?;
        between("quality.max_spike_ratio", self.quality.max_spike_ratio, 1.1, 1e6)?;
        between("quality.max_range_ratio", self.quality.max_range_ratio, 1.1, 1e6)?;
        if let Some(url) = &self.cache_url {
            s3_location(url).map_err(|why| ("cache_url", why))?;
        }
        if self.s3_access_key_id.is_some() != self.s3_secret_access_key.is_some() {
            return Err(("s3_access_key_id", "it needs s3_secret_access_key, and the other way round".to_owned()));
        }
        if let Some(url) = &self.s3_endpoint {
            web_url(url.as_str()).map_err(|why| ("s3_endpoint", why))?;
        }
        if let Some(url) = &self.stream_host
            && !matches!(url.scheme(), "ws" | "wss")
        {
            return Err(("stream_host", format!("{url} is no ws or wss address")));
        }
        for (key, url) in [("spot_host", &self.spot_host), ("um_host", &self.um_host), ("dump_host", &self.dump_host)] {
            if let Some(url) = url {
                web_url(url.as_str()).map_err(|why| (key, why))?;
            }
        }
        Ok(())
    }

    /// Address of a market's REST service.
    #[must_use]
    pub(crate) fn rest_host(&self, market: MarketKind) -> Url {
        let (own, binance) = match market {
            MarketKind::Spot => (&self.spot_host, BINANCE_SPOT),
            MarketKind::Um => (&self.um_host, BINANCE_UM),
        };
        self.host(own.as_ref(), binance)
    }

    /// Address of the public dumps.
    #[must_use]
    pub(crate) fn dump_host(&self) -> Url {
        self.host(self.dump_host.as_ref(), BINANCE_DUMPS)
    }

    /// Address of a market's WebSocket service: that of the REST service, where it is a simulated one.
    #[must_use]
    pub(crate) fn stream_url(&self, market: MarketKind) -> Url {
        if let Some(url) = &self.stream_host {
            return url.clone();
        }
        let binance = match market {
            MarketKind::Spot => BINANCE_SPOT_STREAM,
            MarketKind::Um => BINANCE_UM_STREAM,
        };
        let mut url = match &self.source {
            Source::Simulated(url) => url.clone(),
            Source::Binance => Url::parse(binance).expect("the built-in addresses parse"),
        };
        let scheme = if url.scheme() == "http" { "ws" } else { "wss" };
        // Between web schemes this cannot fail; were it to, connecting would say so.
        let _ = url.set_scheme(scheme);
        url
    }

    fn host(&self, own: Option<&Url>, binance: &str) -> Url {
        match (own, &self.source) {
            (Some(url), _) | (None, Source::Simulated(url)) => url.clone(),
            (None, Source::Binance) => Url::parse(binance).expect("the built-in addresses parse"),
        }
    }

    /// How long one request may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.timeout_s).unwrap_or(Duration::from_secs(10))
    }
}
