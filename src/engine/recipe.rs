//! How a backtest or paper run is set up: stored with its result, so that it can be computed again to the bit.
//!
//! Computes nothing, and knows no candles. What is stored keeps its names: an older result must read as well.

use crate::{Costs, FillOn, RankedMarket, Terms, meaning};
use candles::{Interval, MarketKind, Symbol};
use genome::{ModelName, Timeframe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a backtest or paper run was set up; stored with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Which market.
    pub market: MarketKind,
    /// Symbols, in order.
    pub symbols: Vec<Symbol>,
    /// Interval of the candles.
    pub interval: Interval,
    /// What trading cost.
    pub costs: Costs,
    /// Capital at the start, quote units.
    pub initial_capital: f64,
    /// Version of the program that computed it.
    pub code_version: String,
    /// Meaning of the engine that computed it, see [`MeaningChange`](crate::MeaningChange); 1 where nothing is said.
    #[serde(default = "meaning::first")]
    pub engine_meaning: u32,
    /// At which price orders of rules filled; not said where it was the next open.
    #[serde(default, skip_serializing_if = "FillOn::is_default")]
    pub fill_on: FillOn,
    /// Of a strategy that ranks the market; its symbols are those that there were when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranked: Option<RankedMarket>,
    /// The models whose predictions it was told; not said where there were none.
    #[serde(default, skip_serializing_if = "ModelsUsed::is_none")]
    pub models: ModelsUsed,
}

/// Models, as they were when something began that looks at what they predict.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelsUsed {
    /// By name, the SHA-256 in hex of what each is: its file, and its network where it has one.
    pub digests: BTreeMap<ModelName, String>,
    /// On which candles they predict together, where that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Timeframe>,
}

impl ModelsUsed {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.digests.is_empty()
    }
}

impl RunConfig {
    /// Capital, costs and fills.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { initial_capital: self.initial_capital, costs: self.costs, fill_on: self.fill_on }
    }
}

/// Everything but strategy and window that makes a result the same to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// How it was set up.
    #[serde(flatten)]
    pub config: RunConfig,
    /// First candle that indicators warmed up on, UTC ms.
    pub warmup_from_ms: i64,
    /// End of the candles that the stored data version names, UTC ms; the window's end where nothing is said.
    #[serde(default)]
    pub data_to_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_keeps_its_names() {
        let config = RunConfig {
            market: MarketKind::Spot,
            symbols: vec!["BTCUSDT".parse().unwrap()],
            interval: Interval::M15,
            costs: Costs::default(),
            initial_capital: 7_000.0,
            code_version: "0.1.0".to_owned(),
            engine_meaning: 2,
            fill_on: FillOn::NextOpen,
            ranked: None,
            models: ModelsUsed::default(),
        };
        let recipe = Recipe { config, warmup_from_ms: 900_000, data_to_ms: None };
        let costs = serde_json::to_string(&Costs::default()).unwrap();
        let stored = format!(
            r#"{{"market":"spot","symbols":["BTCUSDT"],"interval":"15m","costs":{costs},"initial_capital":7000.0,"code_version":"0.1.0","engine_meaning":2,"warmup_from_ms":900000,"data_to_ms":null}}"#
        );
        assert_eq!(serde_json::to_string(&recipe).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Recipe>(&stored).unwrap(), recipe);
        let older = stored.replace(r#","data_to_ms":null"#, r#","fitness":61.5"#);
        assert_eq!(
            serde_json::from_str::<Recipe>(&older).unwrap(),
            recipe,
            "with no end, and with what else was noted"
        );
        let first: Recipe = serde_json::from_str(&stored.replace(r#","engine_meaning":2"#, "")).unwrap();
        assert_eq!(first.config.engine_meaning, 1, "stored before meanings had numbers");
        let at_close = RunConfig { fill_on: FillOn::Close, ..recipe.config.clone() };
        let text = serde_json::to_string(&at_close).unwrap();
        assert!(text.contains(r#""fill_on":"close""#), "{text}");
        assert_eq!(serde_json::from_str::<RunConfig>(&text).unwrap().terms().fill_on, FillOn::Close);
        let digests = [("trend".parse().unwrap(), "ab".to_owned())].into();
        let asking = RunConfig { models: ModelsUsed { digests, together: None }, ..recipe.config.clone() };
        let text = serde_json::to_string(&asking).unwrap();
        assert!(text.contains(r#""models":{"digests":{"trend":"ab"}}"#), "{text}");
        assert_eq!(serde_json::from_str::<RunConfig>(&text).unwrap(), asking);
        assert!(serde_json::from_str::<Recipe>("{}").unwrap_err().to_string().contains("missing field"));
    }
}
