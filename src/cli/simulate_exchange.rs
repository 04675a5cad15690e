//! `sg-ai simulate-exchange`: a simulated Binance over HTTP, until a signal ends it.

use super::{CliError, Context, output};
use crate::daemon::Stopper;
use anyhow::Context as _;
use candles::time::DAY_MS;
use candles::{Interval, Symbol};
use clap::Args;
use genome::random::Seed;
use market::simulator::{ExchangeConfig, FaultSpec, SimulatedExchange, StartError, demo_market};
use simulated::{EdgeSpec, MarketSpec};
use std::net::SocketAddr;

/// Days after the start in which coins are still listed and delisted.
const COMING_DAYS: u32 = 365;

/// Serve a simulated Binance: seeded markets, planted edges, a clock that can run fast, faults on request
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// Root of all randomness: the same seed gives the same candles
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The demo's market: four symbols with two planted edges, one of which dies, and a dozen coins of which those that rose
    /// go on rising; --seed, --listen and --speed apply
    #[arg(long, conflicts_with_all = ["symbols", "coins", "start", "history_days", "base", "edges"])]
    demo: bool,
    /// Symbols to simulate
    #[arg(long, value_delimiter = ',', default_value = "BTCUSDT,ETHUSDT,SOLUSDT,ARBUSDT", value_name = "SYMBOL,...")]
    symbols: Vec<Symbol>,
    /// So many made-up coins in place of --symbols: own volatilities and volumes, some listed late, some delisted, at
    /// once or after fading; all within the history and the year after the start
    #[arg(long, value_name = "COUNT", conflicts_with = "symbols")]
    coins: Option<u32>,
    /// Simulated date at the start (00:00 UTC)
    #[arg(long, default_value = "2025-01-01", value_name = "DATE")]
    start: chrono::NaiveDate,
    /// Days of candles before the start
    #[arg(long, default_value_t = 600, value_name = "DAYS")]
    history_days: u32,
    /// Finest interval; coarser ones are made from it [default: 15m; 1h with --coins]
    #[arg(long, value_name = "INTERVAL")]
    base: Option<Interval>,
    /// Simulated seconds in a wall second
    #[arg(long, value_name = "FACTOR", conflicts_with = "day_seconds")]
    speed: Option<f64>,
    /// Wall seconds in a simulated day: another way to say the speed
    #[arg(long, value_name = "SECONDS")]
    day_seconds: Option<f64>,
    /// Plant an edge; its strength is the true annual Sharpe ratio before costs. Kinds of one symbol: mean_reversion,
    /// momentum, time_of_day, volume_spike, product; of symbols against each other: rank_momentum, rank_reversal, rank_volume.
    /// `all` stands for every symbol. May be given more than once
    #[arg(long = "edge", value_name = "KIND:SYMBOL[+SYMBOL...]:SHARPE[:FROM[:TO[:DECAY_DAYS[:RESIDUAL]]]]")]
    edges: Vec<EdgeSpec>,
    /// Let something go wrong: too_many_requests, banned, status_500, status_502, status_503, hang, html, truncated,
    /// empty, gap, late, revised, reissued or checksum. May be given more than once
    #[arg(long = "fault", value_name = "KIND[:PROBABILITY[:KEY=VALUE,...]]")]
    faults: Vec<FaultSpec>,
    /// Request weight allowed in a minute on both markets [default: 6000 spot, 2400 um]
    #[arg(long, value_name = "WEIGHT")]
    weight_limit: Option<u32>,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

impl SimulateArgs {
    fn into_config(self) -> Result<ExchangeConfig, CliError> {
        let mut config = if self.demo {
            demo_market(self.seed)
        } else {
            let now_ms = self.start.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
            let start_ms = now_ms - i64::from(self.history_days) * DAY_MS;
            let mut market = match self.coins {
                None => MarketSpec::noise(Seed(self.seed), start_ms, &self.symbols),
                Some(coins) => {
                    let days = self.history_days.saturating_add(COMING_DAYS);
                    MarketSpec::coins(Seed(self.seed), start_ms, coins, days).map_err(CliError::usage)?
                }
            };
            market.base = self.base.unwrap_or(market.base);
            market.edges = self.edges;
            ExchangeConfig::new(market, now_ms)
        };
        config.listen = self.listen;
        config.faults = self.faults;
        if let Some(weight) = self.weight_limit {
            config.limits.spot_weight_per_minute = weight;
            config.limits.um_weight_per_minute = weight;
        }
        let speed = self.speed.or(self.day_seconds.map(|seconds| 86_400.0 / seconds));
        if let Some(speed) = speed {
            if !speed.is_finite() || speed < 0.0 {
                return Err(CliError::Usage(format!("the speed must be 0 or more, not {speed}")));
            }
            config.speed = speed;
        }
        Ok(config)
    }
}

/// Runs `sg-ai simulate-exchange` until SIGINT or SIGTERM.
///
/// # Errors
/// A market that cannot be, or an address that cannot be listened on.
pub(crate) async fn run(args: SimulateArgs, _ctx: &Context) -> Result<(), CliError> {
    let json = args.json;
    let config = args.into_config()?;
    let stopper = Stopper::new();
    let _signals = stopper.listen().context("signals")?;
    let symbols: Vec<String> = config.market.symbols.iter().map(|s| s.symbol.to_string()).collect();
    let (seed, base, speed, now_ms) = (config.market.seed.0, config.market.base, config.speed, config.now_ms);
    let exchange = SimulatedExchange::start(config).await.map_err(|error| match error {
        StartError::Listen { .. } => CliError::Failed(error.into()),
        StartError::Spec(_) | StartError::BeforeMarket { .. } => CliError::usage(error),
    })?;
    let url = exchange.base_url();
    if json {
        let line = serde_json::json!({
            "url": url, "addr": exchange.addr().to_string(), "seed": seed, "symbols": symbols,
            "base": base.name(), "speed": speed, "now_ms": now_ms,
        });
        output::json_line(&line).context("standard output")?;
    } else {
        let symbols = symbols.join(", ");
        output::line(format!("simulated exchange on {url}: {symbols} from {base} up, seed {seed}, speed {speed}"))
            .context("standard output")?;
    }
    stopper.stopped().await;
    exchange.stop().await;
    Ok(())
}
