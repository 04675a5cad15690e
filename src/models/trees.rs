//! Gradient-boosted trees on the logistic loss, by the crate `forust-ml`.
//!
//! On one thread: a fit is small, and its bits do not depend on how many there are.

use super::{Fitted, Kind, ModelError, Rows, TrainingSet};
use forust_ml::{Matrix, gradientbooster::GradientBooster, objective::ObjectiveType};
use genome::random::Seed;

/// Settings of a fit; [`super::KindSettings::Trees`] says what they mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trees {
    pub(super) trees: u32,
    pub(super) depth: u32,
    pub(super) learning_rate: f64,
    pub(super) leaf_examples: u32,
    pub(super) subsample: f64,
}

struct Boosted {
    booster: GradientBooster,
    features: usize,
}

/// Cuts of a feature that splits are looked for at.
const CUTS: u16 = 64;
/// Variance of an outcome that is as likely as not.
const VARIANCE: f64 = 0.25;

impl Kind for Trees {
    fn fit(&self, set: &TrainingSet, seed: Seed) -> Result<Box<dyn Fitted>, ModelError> {
        let rows = &set.rows;
        let labels: Vec<f64> = set.labels.iter().map(|above| f64::from(u8::from(*above))).collect();
        let matrix = Matrix::new(&rows.values, rows.rows, rows.features);
        let mut booster = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_iterations(self.trees as usize)
            .set_max_depth(self.depth as usize)
            .set_max_leaves(1 << self.depth)
            .set_learning_rate(self.learning_rate as f32)
            .set_min_leaf_weight((f64::from(self.leaf_examples) * VARIANCE) as f32)
            .set_l2(1.0)
            .set_nbins(CUTS)
            .set_subsample(self.subsample as f32)
            .set_initialize_base_score(true)
            .set_parallel(false)
            .set_seed(seed.0);
        booster.fit_unweighted(&matrix, &labels, None).map_err(|e| ModelError::Fit(e.to_string()))?;
        Ok(Box::new(Boosted { booster, features: rows.features }))
    }
}

impl Fitted for Boosted {
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        if rows.features != self.features {
            return Err(ModelError::Fit(format!("fitted on {} features, asked with {}", self.features, rows.features)));
        }
        let odds = self.booster.predict(&Matrix::new(&rows.values, rows.rows, rows.features), false);
        let probability = |odds: f64| 1.0 / (1.0 + (-odds).exp());
        Ok(odds.into_iter().map(probability).collect())
    }
}
