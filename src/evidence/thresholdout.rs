//! Asking a hold-out many questions without using it up: answers come from the training data unless the hold-out
//! differs by more than a noisy threshold, and only then cost budget.
//!
//! Needs many more observations than budget / sigma^2: with months of daily results it buys a handful of questions.
//! sg-ai never asks its hold-out anything from a search; this is for whoever wants to see what asking would cost.
//!
//! Source: Dwork and others, The reusable holdout (Science, 2015).

/// Noise of one question, drawn from Laplace distributions by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryNoise {
    /// Scale 4 sigma: for the comparison.
    pub comparison: f64,
    /// Scale sigma: for the answer.
    pub answer: f64,
    /// Scale 2 sigma: for the threshold after this question, if it costs budget.
    pub next_threshold: f64,
}

/// A hold-out that answers a limited number of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholdout {
    threshold: f64,
    noisy: f64,
    budget: u32,
}

impl Thresholdout {
    /// A fresh hold-out. `first_noise` has scale 2 sigma.
    #[must_use]
    pub const fn new(threshold: f64, first_noise: f64, budget: u32) -> Self {
        Self { threshold, noisy: threshold + first_noise, budget }
    }

    /// The value of a statistic, given what it is on both parts; `None` once the budget is spent.
    pub fn ask(&mut self, on_training: f64, on_holdout: f64, noise: QueryNoise) -> Option<f64> {
        if self.budget == 0 {
            return None;
        }
        if (on_holdout - on_training).abs() <= self.noisy + noise.comparison {
            return Some(on_training);
        }
        self.budget -= 1;
        self.noisy = self.threshold + noise.next_threshold;
        Some(on_holdout + noise.answer)
    }

    /// Answers from the hold-out that are left.
    #[must_use]
    pub const fn budget(&self) -> u32 {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, number, numbers, read};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/15_thresholdout/stream.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let column = |key: &str| numbers(&input[key]);
        let (train, holdout) = (column("train"), column("holdout"));
        let (gamma, eta, xi) = (column("gamma"), column("eta"), column("xi"));
        let budget = u32::try_from(input["budget"].as_u64().unwrap()).unwrap();
        let mut data = Thresholdout::new(number(&input["T"]), gamma[0], budget);
        for i in 0..train.len() {
            let spent = (budget - data.budget()) as usize;
            let noise = QueryNoise { comparison: eta[i], answer: xi[i], next_threshold: gamma[spent + 1] };
            match data.ask(train[i], holdout[i], noise) {
                Some(answer) => assert_close(answer, &output["answers"][i]),
                None => assert!(output["answers"][i].is_null()),
            }
        }
        assert_eq!(json!(data.budget()), output["budget_left"]);
    }

    #[test]
    fn agreement_costs_nothing_and_difference_does() {
        let quiet = QueryNoise { comparison: 0.0, answer: 0.0, next_threshold: 0.0 };
        let mut data = Thresholdout::new(0.1, 0.0, 1);
        assert_eq!((data.ask(1.0, 1.05, quiet), data.budget()), (Some(1.0), 1));
        assert_eq!((data.ask(1.0, 0.5, quiet), data.budget()), (Some(0.5), 0));
        assert_eq!(data.ask(1.0, 1.0, quiet), None);
    }
}
