//! The functions of expressions, by their names.

use crate::{Across, Binary, Rolling, Unary};

/// What a function's name stands for.
#[derive(Clone, Copy)]
pub(super) enum Function {
    Unary(Unary),
    Binary(Binary),
    Rolling(Rolling),
    Across(Across),
    Correlation,
    Beta,
}

/// Functions with the other names that are read.
pub(super) const FUNCTIONS: [(Function, &str, &[&str]); 20] = [
    (Function::Unary(Unary::Abs), "abs", &[]),
    (Function::Unary(Unary::Log), "log", &["ln"]),
    (Function::Unary(Unary::Sign), "sign", &[]),
    (Function::Binary(Binary::Min), "min", &[]),
    (Function::Binary(Binary::Max), "max", &[]),
    (Function::Rolling(Rolling::Delay), "delay", &["ts_delay", "lag", "shift"]),
    (Function::Rolling(Rolling::Delta), "delta", &["ts_delta", "diff"]),
    (Function::Rolling(Rolling::Mean), "mean", &["ts_mean", "average"]),
    (
        Function::Rolling(Rolling::Deviation),
        "deviation",
        &["std", "stddev", "standard_deviation", "ts_std", "ts_std_dev"],
    ),
    (Function::Rolling(Rolling::Sum), "sum", &["ts_sum"]),
    (Function::Rolling(Rolling::Highest), "highest", &["ts_max"]),
    (Function::Rolling(Rolling::Lowest), "lowest", &["ts_min"]),
    (Function::Rolling(Rolling::TsRank), "ts_rank", &[]),
    (Function::Rolling(Rolling::Decay), "decay", &["decay_linear", "ts_decay", "ts_decay_linear"]),
    (Function::Correlation, "correlation", &["corr", "ts_corr"]),
    (Function::Across(Across::Rank), "cs_rank", &["rank"]),
    (Function::Across(Across::ZScore), "cs_zscore", &["zscore"]),
    (Function::Across(Across::Demean), "cs_demean", &["demean"]),
    (Function::Across(Across::Relative), "relative", &["cs_relative"]),
    (Function::Beta, "beta", &[]),
];

/// The function of this name or alias, and its canonical name.
pub(super) fn function(name: &str) -> Option<(Function, &'static str)> {
    let found = FUNCTIONS.iter().find(|(_, canonical, others)| *canonical == name || others.contains(&name));
    found.map(|(function, canonical, _)| (*function, *canonical))
}
