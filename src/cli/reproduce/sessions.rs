//! `sg-ai reproduce ISLAND/FIRST..LAST`: many sessions bred again, here or together with workers.

use super::{ReproduceArgs, session_lines};
use crate::cli::{CliError, Context, output};
use crate::usecases::database::Database;
use crate::usecases::parts::Compute;
use crate::usecases::replay::Verdict;
use crate::usecases::replay_session::{SessionComparison, compare_session, compare_sessions};
use crate::usecases::shared::{Sharing, own_name, together::Together};
use anyhow::Context as _;
use engine::Engine;
use serde::Serialize;
use std::sync::Arc;
use store::{Session, Store, StoreError};

/// Sessions of an island that are asked for at once, at most.
const MOST: u64 = 10_000;

/// Sessions of an island from one number to another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    island: String,
    first: u64,
    last: u64,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    code_version: &'static str,
    /// Everything that was stored came out the same.
    identical: bool,
    sessions: &'a [SessionComparison],
}

/// The range that a selector names; `None` where it names something else.
///
/// # Errors
/// When it is a range and cannot be one.
pub(super) fn range(what: &str) -> Result<Option<Range>, CliError> {
    let parts = what.rsplit_once('/').and_then(|(island, range)| Some((island, range.split_once("..")?)));
    let Some((island, (first, last))) = parts else { return Ok(None) };
    let number = |text: &str| {
        let number = text.parse::<u64>();
        number.map_err(|_| CliError::Usage(format!("{what}: {text:?} is no number of a session, as in main/1..20")))
    };
    let (first, last) = (number(first)?, number(last)?);
    if !(first..first.saturating_add(MOST)).contains(&last) {
        return Err(CliError::Usage(format!(
            "{what}: it goes from the smaller to the greater number, over {MOST} at most"
        )));
    }
    Ok(Some(Range { island: island.to_owned(), first, last }))
}

/// Breeds all of them again.
pub(super) async fn run(range: Range, args: &ReproduceArgs, ctx: &Context) -> Result<(), CliError> {
    let database = Database::open(ctx.config()).await?;
    let compared = compared(&range, args, &database.store, ctx).await;
    database.close().await;
    let compared = compared?;
    if compared.is_empty() {
        return Err(CliError::Usage(format!("there is no session of that range: {}", args.what)));
    }
    let is_good = |c: &&SessionComparison| matches!(c.verdict, Verdict::Identical | Verdict::Nothing);
    let bad = compared.len() - compared.iter().filter(is_good).count();
    if args.json {
        let report = Report { code_version: crate::CODE_VERSION, identical: bad == 0, sessions: &compared };
        output::json(&report).context("standard output")?;
    } else {
        output::text(compared.iter().map(session_lines).collect::<String>()).context("standard output")?;
    }
    match bad {
        0 => Ok(()),
        _ => Err(anyhow::anyhow!("{bad} of {} sessions were not reproduced", compared.len()).into()),
    }
}

async fn compared(
    range: &Range,
    args: &ReproduceArgs,
    store: &Store,
    ctx: &Context,
) -> anyhow::Result<Vec<SessionComparison>> {
    let mut sessions: Vec<Session> = Vec::new();
    for number in range.first..=range.last {
        match store.session(&format!("{}/{number}", range.island)).await {
            Ok(session) => sessions.push(session),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let models = ctx.models()?;
    if !args.workers {
        let mut all = Vec::with_capacity(sessions.len());
        for session in &sessions {
            all.push(compare_session(store, &models, session, None).await?);
        }
        return Ok(all);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let compute = Compute::of_work(Engine::new(ctx.config().engine.cache_mb), Arc::new(pool));
    let sharing = Sharing::of(ctx.config(), ctx.data_dir(), store, own_name("reproduction"))?;
    // One at a time, on all threads: each holds the candles of its session.
    let together = Together { sharing, compute, slots: 1 };
    compare_sessions(store, &models, &sessions, together).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_of_an_island() {
        let found = |what| range(what).unwrap();
        assert_eq!(found("main/1..20"), Some(Range { island: "main".into(), first: 1, last: 20 }));
        assert_eq!(found("a/b/7..7"), Some(Range { island: "a/b".into(), first: 7, last: 7 }));
        for other in ["main/12", "main/12/5", "backtest:1", "some..name"] {
            assert_eq!(found(other), None, "{other}");
        }
        for wrong in ["main/2..1", "main/1..", "main/..", "main/a..b", "main/1..20000"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
