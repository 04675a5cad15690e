//! What results prove: pure statistics, one question a file, each with formula, assumptions and source.
//!
//! Never decides, never backtests, never looks at a clock. An undefined value is `None`, never NaN.

pub mod adaptive_window;
pub mod betting;
pub mod binomial;
pub mod bootstrap;
pub mod confidence;
pub mod cross_validation;
pub mod drift;
pub mod effective_trials;
pub mod eigenvalues;
pub mod forecast;
pub mod marked;
pub mod monte_carlo;
pub mod multiplicity;
pub mod noise;
pub mod null_market;
pub mod overfitting;
pub mod placebo;
pub mod reality_check;
pub mod robustness;
pub mod sharpe;
pub mod thresholdout;
pub mod track;
#[cfg(test)]
pub(crate) mod vectors;
pub mod volatility_regime;
pub mod walk_forward;
pub mod wealth;
