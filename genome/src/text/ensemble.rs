//! The entry `ensemble`: in as the models together expect, where they are sure enough. Written out it is a rule like any other.

use crate::{Comparison, Condition, ModelSeries, Number, Operand, Rule, Series, Source, Timeframe};

/// The word for it.
pub(super) const ENTRY: &str = "ensemble";

/// Long where the models together expect a rise, short where they expect a fall, with a confidence of at least `least`.
pub(super) fn entry(is_short: bool, timeframe: Option<Timeframe>, least: Option<Number>) -> Rule {
    let series = |model| Series { source: Source::Model(model), timeframe, across: None };
    let condition = |model, comparison, level| {
        Rule::Condition(Condition { left: series(model), comparison, right: Operand::Constant(level) })
    };
    let way = if is_short { Comparison::Below } else { Comparison::Above };
    let expects = condition(ModelSeries::EnsembleDirection, way, Number::ZERO);
    match least {
        None => expects,
        Some(least) => {
            let unsure = condition(ModelSeries::EnsembleConfidence, Comparison::Below, least);
            Rule::And(vec![expects, Rule::Not(Box::new(unsure))])
        }
    }
}
