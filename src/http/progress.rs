//! How close a strategy is, as JSON: requirements with the names that people know them by. Decides nothing.

use lifecycle::{Check, Progress, needed, requirement};
use serde_json::{Value, json};
use store::TransitionRow;

/// A requirement with its name in words beside the one that programs know.
fn check(check: &Check) -> Value {
    json!({
        "name": check.name, "label": requirement(&check.name), "needed": needed(&check.needed), "had": check.had,
        "passed": check.passed,
    })
}

/// What the gate was asked last.
pub(super) fn told(progress: &Progress) -> Value {
    let mut value = json!(progress);
    value["checks"] = progress.checks.iter().map(check).collect();
    value
}

/// A move with its requirements in words.
pub(super) fn transition(row: &TransitionRow) -> Value {
    let mut value = json!(row);
    if let Some(decision) = &row.decision {
        value["decision"]["checks"] = decision.checks.iter().map(check).collect();
    }
    value
}
