//! The one trait behind which models of all kinds are: fitted on features and targets, asked for probabilities.
//!
//! Knows nothing of time: who fits decides what was known.

use super::{KindSettings, ModelFile, logistic::Logistic};
use genome::random::Seed;

/// Rows of numbers, column by column: feature f of row r at `values[f * rows + r]`; all finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The numbers.
    pub values: Vec<f64>,
    /// How many rows.
    pub rows: usize,
    /// How many features.
    pub features: usize,
}

impl Rows {
    /// The column of a feature.
    #[must_use]
    pub fn column(&self, feature: usize) -> &[f64] {
        &self.values[feature * self.rows..(feature + 1) * self.rows]
    }
}

/// What a model is fitted on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingSet {
    /// Features.
    pub rows: Rows,
    /// Whether the target of each row was above its middle.
    pub labels: Vec<bool>,
}

impl TrainingSet {
    /// Share of rows whose target was above the middle; `None` without rows.
    #[must_use]
    pub fn base_rate(&self) -> Option<f64> {
        let above = self.labels.iter().filter(|label| **label).count();
        (!self.labels.is_empty()).then(|| above as f64 / self.labels.len() as f64)
    }
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModelError {
    #[error("built without models of kind {kind}: cargo build --release --features {feature}")]
    NotBuilt { kind: &'static str, feature: &'static str },
    #[error(
        "{above} of {rows} targets known by then are above their middle; at least {least} of either side are needed"
    )]
    TooFew { rows: usize, above: usize, least: usize },
    #[error("the fit failed: {0}")]
    Fit(String),
    #[error("the model gave {0}, which is no probability")]
    Output(String),
    #[error("the network cannot be used: {0}")]
    Network(String),
}

/// A way to fit models.
pub trait Kind: Send + Sync {
    /// Fits a model. The same set and seed give the same bits, on any number of threads.
    ///
    /// # Errors
    /// Where nothing can be fitted.
    fn fit(&self, set: &TrainingSet, seed: Seed) -> Result<Box<dyn Fitted>, ModelError>;

    /// Whether it learns from the training set; one that was fitted elsewhere does not.
    fn learns(&self) -> bool {
        true
    }
}

/// A fitted model.
pub trait Fitted: Send + Sync {
    /// Probability, for each row by itself, that its target is above the middle.
    ///
    /// # Errors
    /// Where the model gives none.
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError>;

    /// How much each feature moves the log-odds a standard deviation, where the model is linear.
    fn coefficients(&self) -> Option<Vec<f64>> {
        None
    }
}

/// How sure a probability is: |2p - 1|, 0 to 1.
#[must_use]
pub fn confidence(probability: f64) -> f64 {
    (2.0 * probability - 1.0).abs()
}

impl ModelFile {
    /// What fits this model. `network` are the bytes of the network that the file names, for a model of kind `onnx`.
    ///
    /// # Errors
    /// Where this build has no such kind, or the network cannot be read.
    pub fn kind(&self, network: Option<&[u8]>) -> Result<Box<dyn Kind>, ModelError> {
        match &self.fit {
            KindSettings::Logistic { l2 } => Ok(Box::new(Logistic { l2: *l2 })),
            #[cfg(feature = "trees")]
            KindSettings::Trees { trees, depth, learning_rate, leaf_examples, subsample } => {
                Ok(Box::new(super::trees::Trees {
                    trees: *trees,
                    depth: *depth,
                    learning_rate: *learning_rate,
                    leaf_examples: *leaf_examples,
                    subsample: *subsample,
                }))
            }
            #[cfg(not(feature = "trees"))]
            KindSettings::Trees { .. } => Err(ModelError::NotBuilt { kind: "trees", feature: "models" }),
            #[cfg(feature = "onnx")]
            KindSettings::Onnx { .. } => {
                let bytes = network.ok_or_else(|| ModelError::Network("its bytes are not there".to_owned()))?;
                Ok(Box::new(super::onnx::Onnx::read(bytes, self.features.len())?))
            }
            #[cfg(not(feature = "onnx"))]
            KindSettings::Onnx { .. } => {
                let _ = network;
                Err(ModelError::NotBuilt { kind: "onnx", feature: "models-onnx" })
            }
        }
    }
}
