//! The live tail: closed candles by WebSocket, merged into the cache as they are told.
//!
//! Only candles marked as closed count. A connection that breaks, falls silent or ends is made anew, with growing
//! pauses; what was missed meanwhile is filled by REST before the next candle counts, so polling and streaming leave
//! the same cache. Never invents a candle, never trusts an open one.

use super::cache::{CandleCache, Provenance};
use super::{Feed, MarketConfig};
use candles::tail::TailState;
use candles::{Candle, CandleSeries, Interval, MarketKind, Symbol, Ticker, interval};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use url::Url;

/// A connection on which nothing is heard for so long is dead: the exchange tells of open candles every second or two.
const SILENCE: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A message beyond this is no kline.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Follow {
    /// Which market.
    pub market: MarketKind,
    /// Which symbols.
    pub symbols: Vec<Symbol>,
    /// Which interval.
    pub interval: Interval,
}

/// A candle told by the exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Whose.
    pub symbol: Symbol,
    /// Its interval.
    pub interval: Interval,
    /// The candle.
    pub candle: Candle,
    /// Whether it has closed.
    pub is_closed: bool,
}

#[derive(Deserialize)]
struct Envelope {
    data: Event,
}

#[derive(Deserialize)]
struct Event {
    k: Kline,
}

#[derive(Deserialize)]
struct Kline {
    t: i64,
    s: String,
    i: String,
    o: String,
    c: String,
    h: String,
    l: String,
    v: String,
    n: u64,
    x: bool,
    q: String,
    #[serde(rename = "V")]
    taker_volume: String,
    #[serde(rename = "Q")]
    taker_quote: String,
}

/// Reads a kline event, bare or as a combined stream wraps it; `None` for what is something else.
#[must_use]
pub fn read_event(text: &str) -> Option<Told> {
    let event = serde_json::from_str::<Envelope>(text).map(|e| e.data).or_else(|_| serde_json::from_str(text)).ok()?;
    let Event { k } = event;
    let interval: Interval = k.i.parse().ok()?;
    let number = |text: &str| text.parse::<f64>().ok();
    let candle = Candle {
        open_time_ms: k.t,
        open: number(&k.o)?,
        high: number(&k.h)?,
        low: number(&k.l)?,
        close: number(&k.c)?,
        volume: number(&k.v)?,
        close_time_ms: interval::close_time_ms(interval, k.t),
        quote_volume: number(&k.q)?,
        trade_count: k.n,
        taker_buy_volume: number(&k.taker_volume)?,
        taker_buy_quote_volume: number(&k.taker_quote)?,
    };
    Some(Told { symbol: k.s.parse().ok()?, interval, candle, is_closed: k.x })
}

/// Follows klines into the cache.
pub struct Tail {
    url: Url,
    follow: Follow,
    feed: Arc<Feed>,
    source: String,
    /// Told after each closed candle that was stored.
    stored: Arc<Notify>,
    state: Arc<Mutex<TailState>>,
}

impl Tail {
    /// A tail that fills gaps through `feed`, into whose cache it writes.
    #[must_use]
    pub fn new(config: &MarketConfig, follow: Follow, feed: Arc<Feed>) -> Self {
        let mut url = config.stream_url(follow.market);
        let names: Vec<String> = follow
            .symbols
            .iter()
            .map(|s| format!("{}@kline_{}", s.as_str().to_ascii_lowercase(), follow.interval))
            .collect();
        url.set_path(&format!("{}/stream", url.path().trim_end_matches('/')));
        url.set_query(Some(&format!("streams={}", names.join("/"))));
        let source = url.host_str().unwrap_or_default().to_owned();
        Self { url, follow, feed, source, stored: Arc::default(), state: Arc::default() }
    }

    /// Wakes whoever waits after each closed candle that was stored.
    #[must_use]
    pub fn stored(&self) -> Arc<Notify> {
        Arc::clone(&self.stored)
    }

    /// Where it stands: the same for all that hold it.
    #[must_use]
    pub fn state(&self) -> TailWatch {
        TailWatch(Arc::clone(&self.state))
    }

    fn note(&self, change: impl FnOnce(&mut TailState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Follows until `stop`; connections that end are made anew.
    pub async fn run(&self, stop: &CancellationToken) {
        let (mut pause, mut is_first) = (FIRST_PAUSE, true);
        while !stop.is_cancelled() {
            if !std::mem::take(&mut is_first) {
                self.note(|state| state.reconnects += 1);
            }
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = self.connection() => heard,
            };
            let why = heard.as_ref().map_or_else(|error| format!("{error:#}"), |_| "the exchange ended it".to_owned());
            self.note(|state| (state.connected, state.error) = (false, Some(why)));
            match heard {
                Ok(told) => {
                    tracing::info!(source = self.source, told, "the stream of candles ended; connecting again");
                    if told > 0 {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        source = self.source,
                        error = format!("{error:#}"),
                        "no stream of candles; polling goes on"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, until it ends; how many closed candles it told.
    async fn connection(&self) -> anyhow::Result<u64> {
        let limits = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let connecting = tokio_tungstenite::connect_async_with_config(self.url.as_str(), Some(limits), true);
        let (mut socket, _) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
        self.note(|state| (state.connected, state.error) = (true, None));
        // What closed before the first event can tell of it.
        self.fill().await;
        let mut told = 0;
        loop {
            let message = match tokio::time::timeout(SILENCE, socket.next()).await {
                Err(_) => anyhow::bail!("nothing was heard for {} s", SILENCE.as_secs()),
                Ok(None) => return Ok(told),
                Ok(Some(message)) => message?,
            };
            match message {
                Message::Text(text) => {
                    let Some(event) = read_event(text.as_str()) else { continue };
                    let close_ms = event.candle.close_time_ms;
                    if event.is_closed && self.keep(event).await? {
                        told += 1;
                        self.note(|state| {
                            state.candles += 1;
                            state.last_candle_ms = state.last_candle_ms.max(Some(close_ms));
                        });
                        self.stored.notify_waiters();
                    }
                }
                Message::Ping(payload) => socket.send(Message::Pong(payload)).await?,
                Message::Close(_) => return Ok(told),
                _ => {}
            }
        }
    }

    /// Stores a closed candle, after what is missing before it; false for one that nobody asked for.
    async fn keep(&self, told: Told) -> anyhow::Result<bool> {
        let Follow { market, symbols, interval } = &self.follow;
        if told.interval != *interval || !symbols.contains(&told.symbol) {
            return Ok(false);
        }
        let (cache, ticker) = (self.feed.cache(), Ticker::of(*market, &told.symbol));
        let newest_ms = cache.newest_close_ms(&ticker, *interval).await?;
        if newest_ms.is_some_and(|ms| ms + 1 < told.candle.open_time_ms) {
            self.fill().await;
        }
        let mut series = CandleSeries::new(*interval);
        series.push(&told.candle)?;
        let provenance = Provenance { source: self.source.clone(), fetched_at_ms: told.candle.close_time_ms + 1 };
        cache.merge_fetched(&ticker, &series, &provenance, None).await?;
        Ok(true)
    }

    /// Brings what the cache lacks since its newest candles, by REST. Where nothing is cached there is no tail to fill.
    async fn fill(&self) {
        let Follow { market, symbols, interval } = &self.follow;
        let mut starts: BTreeMap<i64, Vec<Symbol>> = BTreeMap::new();
        for symbol in symbols {
            let ticker = Ticker::of(*market, symbol);
            if let Ok(Some(close_ms)) = self.feed.cache().newest_close_ms(&ticker, *interval).await {
                starts.entry(close_ms + 1).or_default().push(symbol.clone());
            }
        }
        for (from_ms, symbols) in starts {
            for fresh in self.feed.refresh(*market, &symbols, *interval, from_ms).await {
                if let Some(error) = fresh.error {
                    tracing::warn!(symbol = %fresh.symbol, error, "a gap in the stream of candles is not filled yet");
                }
            }
        }
    }

    /// The cache that it writes into.
    #[must_use]
    pub fn cache(&self) -> &CandleCache {
        self.feed.cache()
    }
}

/// Looks at where a tail stands.
#[derive(Clone, Debug)]
pub struct TailWatch(Arc<Mutex<TailState>>);

impl TailWatch {
    /// Where it stands now.
    #[must_use]
    pub fn now(&self) -> TailState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
