//! What an optimisation prints: lines for people, one JSON object, and the report's file.

use super::{Done, stored::Noted};
use crate::cli::{CliError, format::number, output};
use anyhow::Context as _;
use genome::variation::Parameter;
use genome::{AnyStrategy, StrategyForm, StrategyHash};
use optimize::{Figures, Method, Objective, Story};
use report::OptimizationReport;
use serde::Serialize;
use serde_json::{Value, json};

/// What is known of a run beside the run.
pub(super) struct Made<'a> {
    /// What the candles are called.
    pub(super) names: Value,
    pub(super) noted: &'a Noted,
    pub(super) top: usize,
    pub(super) made_at_ms: i64,
    /// Whether its candles are of a simulated market.
    pub(super) simulated: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Of the stored run and its candidate.
    #[serde(flatten)]
    noted: &'a Noted,
    name: Option<&'a str>,
    hash: StrategyHash,
    strategy: String,
    window: &'a Value,
    method: Method,
    seed: u64,
    budget: usize,
    least_trades: u32,
    /// What the strategy as it stands came to.
    own: Figures,
    #[serde(flatten)]
    story: &'a Story,
    top: Vec<Row>,
}

/// A point.
#[derive(Serialize)]
struct Row {
    point: usize,
    parameters: Vec<(String, f64)>,
    objectives: Vec<Option<f64>>,
    figures: Figures,
}

/// The strategy's numbers.
pub(super) fn parameters(strategy: &AnyStrategy, known: &[Parameter], json: bool) -> Result<(), CliError> {
    let printed = if json {
        let rows: Vec<_> = known
            .iter()
            .map(|p| {
                json!({ "name": p.name, "value": p.value, "least": p.least, "above_least": p.above_least, "most": p.most,
                    "multiple_of": p.grid, "step": p.step })
            })
            .collect();
        output::json(&json!({ "strategy": strategy.to_string(), "parameters": rows }))
    } else {
        let mut table = output::table();
        table.set_header(["name", "value", "from", "to", "step"]);
        for p in known {
            let from = format!("{}{}", if p.above_least { "above " } else { "" }, p.least);
            table.add_row([p.name.clone(), p.value.to_string(), from, p.most.to_string(), p.step.to_string()]);
        }
        output::text(format!("{}\n{table}\n", strategy.to_string().trim_end()))
    };
    Ok(printed.context("standard output")?)
}

/// The best points: the front where there are several objectives, then in order of the first one.
fn rows(done: &Done, top: usize) -> Vec<Row> {
    let (run, first) = (&done.run, done.run.settings().objectives.first().copied().unwrap_or(Objective::Sharpe));
    let front = &done.story.analysis.front;
    let mut valued: Vec<(usize, f64)> = (0..run.evaluated().len())
        .filter(|i| !front.contains(i))
        .filter_map(|i| Some((i, run.value(i, first)?)))
        .collect();
    valued.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let all = front.iter().copied().chain(valued.into_iter().map(|(i, _)| i));
    all.take(top)
        .filter_map(|point| {
            let evaluated = &run.evaluated()[point];
            let named = run.settings().space.named(&evaluated.point);
            Some(Row {
                point,
                parameters: named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                objectives: run.settings().objectives.iter().map(|&o| run.value(point, o)).collect(),
                figures: evaluated.figures?,
            })
        })
        .collect()
}

/// Prints it.
pub(super) fn print(done: &Done, made: &Made<'_>, json: bool) -> Result<(), CliError> {
    let rows = rows(done, made.top);
    let printed = if json {
        let settings = done.run.settings();
        output::json(&Report {
            noted: made.noted,
            name: done.name.as_deref(),
            hash: done.strategy.hash(),
            strategy: done.strategy.to_string(),
            window: &made.names,
            method: settings.method,
            seed: settings.seed.0,
            budget: done.run.budget(),
            least_trades: settings.least_trades,
            own: done.own.figures,
            story: &done.story,
            top: rows,
        })
    } else {
        output::text(lines(done, made, &rows))
    };
    Ok(printed.context("standard output")?)
}

fn lines(done: &Done, made: &Made<'_>, rows: &[Row]) -> String {
    let settings = done.run.settings();
    let mut text = format!("{}\n# {}\n", done.strategy.to_string().trim_end(), done.strategy.hash());
    if done.strategy.form() == StrategyForm::Ranking {
        text.push_str("by daily returns net of costs and of the hedge; a trade is a name's stay in one leg\n");
    }
    let mut table = output::table();
    let axes = settings.space.axes();
    let mut header = vec!["point".to_owned()];
    header.extend(settings.objectives.iter().map(|o| o.name().to_owned()));
    header.push("trades".to_owned());
    header.extend(axes.iter().map(optimize::Axis::label));
    table.set_header(header);
    let row = |point: String, objectives: &[Option<f64>], trades: u32, values: Vec<String>| {
        let mut cells = vec![point];
        cells.extend(objectives.iter().map(|v| number(*v)));
        cells.push(trades.to_string());
        cells.extend(values);
        cells
    };
    let own: Vec<Option<f64>> = settings.objectives.iter().map(|o| o.of(&done.own.figures)).collect();
    table.add_row(row("as it is".into(), &own, done.own.figures.total_trades, vec![String::new(); axes.len()]));
    for r in rows {
        let values = settings.space.values(&done.run.evaluated()[r.point].point);
        let values = values.iter().map(ToString::to_string).collect();
        table.add_row(row(r.point.to_string(), &r.objectives, r.figures.total_trades, values));
    }
    text.push_str(&format!("\n{table}\n"));
    for told in &done.story.told {
        text.push_str(&format!("\n{}\n  {}\n", told.about, told.sentence));
    }
    let cells: Vec<&optimize::Cell> = done.story.analysis.walk_forward.iter().collect();
    let mut matrix = output::table();
    matrix.set_header([
        "in sample",
        "out",
        "folds",
        "efficiency",
        "sharpe out",
        "a year in",
        "a year out",
        "at random",
    ]);
    for c in cells {
        let yearly = |v: Option<f64>| v.map_or_else(|| "undefined".to_owned(), |v| format!("{:.1} %", 100.0 * v));
        matrix.add_row([
            format!("{} d", c.in_sample_days),
            format!("{} d", c.out_of_sample_days),
            c.folds.to_string(),
            number(c.efficiency),
            number(c.out_of_sample_sharpe),
            yearly(c.in_sample_annual_return),
            yearly(c.out_of_sample_annual_return),
            yearly(c.average_annual_return),
        ]);
    }
    text.push_str(&format!("\n{matrix}\n"));
    match (&made.noted.id, &made.noted.added) {
        (Some(id), Some(added)) => text.push_str(&format!(
            "\nstored as {id}; point {} is the candidate {}, and {} trials are counted\n",
            added.point, added.name, added.trials
        )),
        (Some(id), None) => text.push_str(&format!("\nstored as {id}\n")),
        (None, _) => text.push_str("\nnot stored: nobody counts these trials\n"),
    }
    text
}

/// The report as one HTML file.
pub(super) fn html(done: &Done, made: &Made<'_>) -> String {
    let settings = done.run.settings();
    report::optimization_html(&OptimizationReport {
        name: done.name.clone().unwrap_or_else(|| "optimisation".to_owned()),
        strategy: done.strategy.to_string(),
        words: done.strategy.describe(),
        hash: done.strategy.hash().to_string(),
        method: settings.method.name().to_owned(),
        seed: settings.seed.0,
        least_trades: settings.least_trades,
        window: made.names.clone(),
        own: settings.objectives.iter().map(|o| o.of(&done.own.figures)).collect(),
        story: &done.story,
        simulated: made.simulated,
        made_at_ms: made.made_at_ms,
        made_by: crate::CODE_VERSION.to_owned(),
    })
}
