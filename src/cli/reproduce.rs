//! `sg-ai reproduce`: computes what is stored of a strategy or of a search session once more, and says whether it is the
//! same to the bit.

mod sessions;

use super::format::minute;
use super::{CliError, Context, output};
use crate::usecases::database::Database;
use crate::usecases::portfolio_backtest::compare_portfolio;
use crate::usecases::replay::{Comparison, StoredRun, Verdict, clients_run, compare, stored_runs};
use crate::usecases::replay_session::{SessionComparison, compare_session};
use anyhow::Context as _;
use clap::Args;
use genome::StrategyForm;
use serde::Serialize;
use store::{BacktestRow, Page, ServiceBacktest, Store, Strategy, StrategyDetail};
use uuid::Uuid;

/// Compute stored results once more
#[derive(Args, Debug)]
pub(crate) struct ReproduceArgs {
    /// A strategy (id, name, or the first characters of id or genome hash): its backtest, hold-out, shadow and live
    /// periods, or its stored backtests where it ranks the market. Or backtest:NUMBER. Or a search session
    /// (ISLAND/NUMBER): its generations; ISLAND/NUMBER/GENERATION: up to that one, from 0; ISLAND/FIRST..LAST: all sessions that
    /// there are from one number to another
    what: String,
    /// Share sessions with workers (`sg-ai worker`, settings `work.*`, DATABASE_URL); the result is the same
    #[arg(long)]
    workers: bool,
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
pub(crate) async fn run(args: ReproduceArgs, ctx: &Context) -> Result<(), CliError> {
    if let Some(range) = sessions::range(&args.what)? {
        return sessions::run(range, &args, ctx).await;
    }
    if args.workers {
        return Err(CliError::Usage("--workers shares sessions: give several, as in main/1..20".to_owned()));
    }
    if args.what.contains('/') {
        return session(&args, ctx).await;
    }
    let opened = Database::open(ctx.config()).await?;
    let found = found(&opened.store, &args.what).await;
    opened.close().await;
    let (strategy, found) = found?;
    let models = ctx.models()?;
    let genome = || strategy.genome.read().context("its genome");
    let mut compared = Vec::new();
    match &found {
        Found::Results(runs) => {
            for run in runs {
                compared.push(compare(&models, genome()?, run).await);
            }
        }
        Found::Backtests(all) => {
            for stored in all {
                compared.push(match &stored.backtest.portfolio {
                    Some(portfolio) => compare_portfolio(&models, stored, portfolio).await,
                    None => {
                        let run = clients_run(&stored.backtest);
                        let compared = compare(&models, genome()?, &run).await;
                        Comparison { backtest_id: Some(stored.id), ..compared }
                    }
                });
            }
        }
    }
    let bad = compared.iter().filter(|c| !matches!(c.verdict, Verdict::Identical | Verdict::Nothing)).count();
    let report = Report {
        id: strategy.id,
        name: &strategy.name,
        genome_hash: &strategy.genome_hash,
        code_version: crate::CODE_VERSION,
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

/// What is computed again.
enum Found {
    /// Backtest, hold-out and paper runs.
    Results(Vec<StoredRun>),
    /// Backtests that clients asked for.
    Backtests(Vec<ServiceBacktest>),
}

async fn found(store: &Store, what: &str) -> anyhow::Result<(Strategy, Found)> {
    if let Some(number) = what.strip_prefix("backtest:") {
        let number = number.parse().context("backtest: takes a number, as in backtest:12")?;
        let stored = store.service_backtest(number).await?;
        return Ok((stored.strategy.clone(), Found::Backtests(vec![stored])));
    }
    let (detail, backtests) = read(store, what).await?;
    let runs = stored_runs(&detail, &backtests);
    // One that nothing judged yet has what clients asked for.
    if detail.strategy.form == StrategyForm::Rules || !runs.is_empty() {
        return Ok((detail.strategy.clone(), Found::Results(runs)));
    }
    let mut all = Vec::new();
    loop {
        let page = Page { limit: 100, offset: all.len() as u64 };
        let lines = store.service_backtests_of(detail.strategy.id, page).await?;
        if lines.is_empty() {
            return Ok((detail.strategy, Found::Backtests(all)));
        }
        for line in lines {
            all.push(store.service_backtest(line.id).await?);
        }
    }
}

/// Breeds a session again.
async fn session(args: &ReproduceArgs, ctx: &Context) -> Result<(), CliError> {
    let (selector, last) = generation(&args.what);
    let models = ctx.models()?;
    let opened = Database::open(ctx.config()).await?;
    let compared = async {
        let session = opened.store.session(&selector).await?;
        compare_session(&opened.store, &models, &session, last).await
    };
    let compared = compared.await;
    opened.close().await;
    let compared = compared?;
    if args.json {
        output::json(&compared).context("standard output")?;
    } else {
        output::text(session_lines(&compared)).context("standard output")?;
    }
    match compared.verdict {
        Verdict::Identical | Verdict::Nothing => Ok(()),
        _ => Err(anyhow::anyhow!("session {} was not reproduced", compared.session).into()),
    }
}

/// `main/12/5` is generation 5 of session `main/12`; islands may have slashes in their names, numbers not.
fn generation(what: &str) -> (String, Option<u32>) {
    let parts: Vec<&str> = what.rsplitn(3, '/').collect();
    match parts.as_slice() {
        [last, number, island] if number.parse::<u64>().is_ok() => match last.parse() {
            Ok(last) => (format!("{island}/{number}"), Some(last)),
            Err(_) => (what.to_owned(), None),
        },
        _ => (what.to_owned(), None),
    }
}

fn session_lines(compared: &SessionComparison) -> String {
    let why = compared.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let mut text = format!("session {}  {}{why}\n", compared.session, words(compared.verdict));
    for g in &compared.generations {
        text.push_str(&format!("generation {:<5} {}\n", g.generation, words(g.verdict)));
        for d in &g.differences {
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

const fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical => "identical to the bit",
        Verdict::Differs => "DIFFERS",
        Verdict::Changed => "MEANS SOMETHING ELSE NOW",
        Verdict::Impossible => "COULD NOT BE COMPUTED",
        Verdict::Nothing => "nothing to compare",
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
        let verdict = words(c.verdict);
        let why = c.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (from, to) = (minute(c.from_ms), minute(c.to_ms));
        let number = c.backtest_id.map(|id| format!(" {id}")).unwrap_or_default();
        text.push_str(&format!("{:<9} {from} to {to}  {verdict}{why}\n", format!("{}{number}", c.source.name())));
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

#[cfg(test)]
mod tests {
    use super::generation;

    #[test]
    fn a_generation_is_the_third_part() {
        assert_eq!(generation("main/12"), ("main/12".to_owned(), None));
        assert_eq!(generation("main/12/5"), ("main/12".to_owned(), Some(5)));
        assert_eq!(generation("a/b/12"), ("a/b/12".to_owned(), None));
        assert_eq!(generation("a/b/12/0"), ("a/b/12".to_owned(), Some(0)));
    }
}
