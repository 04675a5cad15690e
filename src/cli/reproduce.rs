//! `sg-ai reproduce`: computes what is stored of a strategy once more, and says whether it is the same to the bit.

use super::{CliError, Context, data, output};
use crate::daemon::Database;
use crate::daemon::replay::{Comparison, Verdict, compare, stored_runs};
use crate::store::{BacktestRow, Store, StrategyDetail};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

/// Compute stored results once more
#[derive(Args, Debug)]
pub struct ReproduceArgs {
    /// Id, name, or the first characters of id or genome hash
    strategy: String,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    id: Uuid,
    name: &'a str,
    genome_hash: &'a str,
    code_version: &'static str,
    /// Everything that was stored came out the same.
    identical: bool,
    sources: &'a [Comparison],
}

/// Runs `sg-ai reproduce`.
///
/// # Errors
/// When something is not the same, or could not be computed; when there is no such strategy.
pub async fn run(args: ReproduceArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let read = read(&opened.store, &args.strategy).await;
    opened.close().await;
    let (detail, backtests) = read?;
    let strategy = super::strategies::genome_of(&detail.strategy)?;
    let cache = data::cache(ctx)?;
    let mut compared = Vec::new();
    for run in stored_runs(&detail, &backtests) {
        compared.push(compare(&cache, &strategy, &run).await);
    }
    let bad = compared.iter().filter(|c| matches!(c.verdict, Verdict::Differs | Verdict::Impossible)).count();
    let report = Report {
        id: detail.strategy.id,
        name: &detail.strategy.name,
        genome_hash: &detail.strategy.genome_hash,
        code_version: env!("CARGO_PKG_VERSION"),
        identical: bad == 0,
        sources: &compared,
    };
    if args.json {
        output::json(&report).context("standard output")?;
    } else {
        output::text(lines(&report)).context("standard output")?;
    }
    match bad {
        0 => Ok(()),
        _ => {
            Err(anyhow::anyhow!("{bad} of {} stored results of {} were not reproduced", compared.len(), report.name)
                .into())
        }
    }
}

/// Everything that is stored of a strategy.
pub(super) async fn read(store: &Store, selector: &str) -> anyhow::Result<(StrategyDetail, Vec<BacktestRow>)> {
    let detail = store.strategy(selector).await?;
    let backtests = store.backtest_results(detail.strategy.id).await?;
    Ok((detail, backtests))
}

fn lines(report: &Report<'_>) -> String {
    let mut text = format!("{}  {}\n", report.name, report.id);
    if report.sources.is_empty() {
        text.push_str("nothing has been measured yet\n");
    }
    for c in report.sources {
        let verdict = match c.verdict {
            Verdict::Identical => "identical to the bit",
            Verdict::Differs => "DIFFERS",
            Verdict::Impossible => "COULD NOT BE COMPUTED",
            Verdict::Nothing => "nothing to compare",
        };
        let why = c.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (from, to) = (super::strategies::date(c.from_ms), super::strategies::date(c.to_ms));
        text.push_str(&format!("{:<9} {from} to {to}  {verdict}{why}\n", c.source.name()));
        for d in &c.differences {
            text.push_str(&format!(
                "          {}: stored {}, now {}\n",
                d.what,
                brief(&d.stored),
                brief(&d.recomputed)
            ));
        }
    }
    text
}

/// Long values are for JSON.
fn brief(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => format!("{} values", items.len()),
        other => other.to_string(),
    }
}
