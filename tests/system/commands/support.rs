//! A data directory with simulated candles, and the binary.

pub(crate) use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker};
use genome::random::Seed;
use market::{CandleCache, cache::Provenance};
use serde_json::Value;
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};
use std::process::{Command, Output};
use tempfile::TempDir;

/// 2024-01-01.
pub(crate) const START_MS: i64 = 1_704_067_200_000;

pub(crate) fn symbols() -> Vec<Symbol> {
    ["BTCUSDT", "ETHUSDT"].map(|s| s.parse().unwrap()).to_vec()
}

/// A market of two symbols, with an edge of an annual Sharpe ratio on both if one is given.
pub(crate) fn market(seed: u64, edge: Option<(EdgeKind, f64)>) -> SimulatedMarket {
    let mut spec = MarketSpec::noise(Seed(seed), START_MS, &symbols());
    spec.edges.extend(edge.map(|(kind, sharpe)| EdgeSpec::lasting(kind, symbols(), sharpe)));
    SimulatedMarket::new(spec).unwrap()
}

pub(crate) struct Sandbox {
    pub(crate) dir: TempDir,
}

impl Sandbox {
    /// `days` days of 15m candles of the market in the cache.
    pub(crate) fn with_candles(market: &SimulatedMarket, days: i64) -> Self {
        let dir = TempDir::new().unwrap();
        let cache = CandleCache::open(&dir.path().join("candles")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for symbol in symbols() {
            let candles = market.candles(&symbol, Interval::M15, START_MS, START_MS + days * DAY_MS).unwrap();
            let provenance = Provenance { source: "simulated".into(), fetched_at_ms: START_MS };
            runtime.block_on(cache.merge(&Ticker::of(MarketKind::Spot, &symbol), &candles, &provenance)).unwrap();
        }
        Self { dir }
    }

    /// `days` days of 4h candles of simulated coins in the cache.
    pub(crate) fn with_coins(coins: u32, days: i64) -> Self {
        let sandbox = Self { dir: TempDir::new().unwrap() };
        let spec = MarketSpec::coins(Seed(3), START_MS, coins, u32::try_from(days).unwrap()).unwrap();
        let market = SimulatedMarket::new(spec).unwrap();
        for spec in &market.spec().symbols {
            if let Ok(candles) = market.candles(&spec.symbol, Interval::H4, START_MS, START_MS + days * DAY_MS) {
                sandbox.merge(&spec.symbol, &candles);
            }
        }
        sandbox
    }

    /// Candles of a symbol into the cache.
    pub(crate) fn merge(&self, symbol: &Symbol, candles: &CandleSeries) {
        let cache = CandleCache::open(&self.dir.path().join("candles")).unwrap();
        let provenance = Provenance { source: "simulated".into(), fetched_at_ms: START_MS };
        let ticker = Ticker::of(MarketKind::Spot, symbol);
        let merged = cache.merge(&ticker, candles, &provenance);
        tokio::runtime::Runtime::new().unwrap().block_on(merged).unwrap();
    }

    /// Runs the binary with this data directory and nothing else from the outside.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sg-ai"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("SG_DATA_DIR", self.dir.path())
            .output()
            .unwrap()
    }

    /// Standard output of a run that must succeed.
    #[track_caller]
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.stdout(args)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}
