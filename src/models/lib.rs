//! Models that predict from series of the language whether a price rises, or whether a symbol does better than others.
//!
//! A [`ModelFile`] says what is predicted from what. [`Examples`] are made of candles; [`predict`] fits on a clock, each time
//! on targets that were known by then, and gives each candle the prediction of the newest fit. Pure: no clock, no file, no
//! network; never looks at a candle that had not closed.

mod calendar;
mod drift;
mod ensemble;
mod evaluate;
mod examples;
pub mod figures;
mod file;
mod importance;
mod kinds;
mod logistic;
#[cfg(feature = "onnx")]
mod onnx;
mod refit;
mod series;
#[cfg(feature = "trees")]
mod trees;
mod walk;

pub use drift::{Drift, Errors, WINDOW_DAYS, Way, drift};
pub use ensemble::{EnsemblePoint, ensemble};
pub use evaluate::{Evaluation, Scores, evaluate};
pub use examples::{Examples, ModelCandles, SymbolExamples};
pub use file::{KindSettings, ModelFile, ModelFileError, Target};
pub use importance::{FeatureImportance, importance};
pub use kinds::{Fitted, Kind, ModelError, Rows, TrainingSet, confidence};
pub use refit::{Beside, RefitError, RefitModel, Refits};
pub use series::{Found, Said, said, unsaid};
pub use walk::{Fit, Point, Predictions, SymbolPredictions, Walk};
