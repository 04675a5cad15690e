//! Strategies that rank the whole market, over candles: universe, scores, weights, trading on shared capital, results.
//!
//! ```text
//! panel -> members -> columns -> score -> weights -> orders -> account -> results
//! ```
//!
//! What each step means is fixed by the definitions of the cross-section. Pure: no I/O, no clock, no randomness; the
//! same inputs give the same bits at any number of threads. Never looks at anything later than the candle that it
//! decides at, and never decides whether a result is good.

pub mod account;
mod across;
#[doc(hidden)]
pub mod alone;
mod betas;
mod brief;
mod columns;
mod field;
mod follow;
mod formulas;
mod grid;
mod hedge;
mod lanes;
mod members;
mod operators;
mod ordered;
mod orders;
mod panel;
mod population;
mod prepared;
mod record;
mod results;
mod rolling;
mod rules;
mod run;
mod score;
mod seating;
mod slopes;
mod state;
mod targets;
mod terms;
mod trading;
mod weights;
mod worth;

pub use brief::daily_returns;
pub use columns::ColumnError;
pub use follow::follow;
pub use hedge::{Benchmark, Hedged, hedge};
pub use members::{Members, Seat};
pub use panel::{Panel, PanelError, PanelInstrument, Ticker};
pub use population::{Brief, KEPT_BYTES, Market, Measured};
pub use record::{Days, NameWeights, Record, WeightMap, daily_equity};
pub use results::{Attribution, Figures, HedgedFigures, Results, ReturnFigures, Stay, Year};
pub use rules::across_readings;
pub use run::{Rebalance, RunError, Slot, Track, run};
pub use terms::{Execution, PortfolioConfig, PortfolioTerms};
