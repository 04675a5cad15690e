//! The placebo island: sessions on null markets made of the real candles, through the same code and the same gates.
//!
//! What gets through there is luck by construction. Its figures stand beside the real ones; when the two cannot be
//! told apart, promotions freeze (the gate sees the comparison) and whoever is told of events is told.

use super::lessons;
use super::parts::{Did, Process, SessionParts};
use super::session_candles::{Of, SessionCandles};
use candles::time::DAY_MS;
use engine::SymbolWindow;
use evidence::placebo::PlaceboComparison;
use notify::{Notice, Trouble};
use protocol::{
    self, Account, Days, NoNull, NullKind, RankingWorld, RulesWorld, RunError, RunPlan, null_panel, null_refits,
    null_window, panel_beside, window_beside,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{LeaseToken, NewSession, NumberedSession, PlaceboRecord, ProtocolSessionRow, Session, SessionNumbers};

/// Real sessions beside placebo sessions, as of a market time; `None` while there is no placebo session.
pub(crate) fn comparison(sessions: &[ProtocolSessionRow], at_ms: i64) -> Option<PlaceboComparison> {
    // A session that bought no test could not have got anything through.
    let known = || sessions.iter().filter(|s| s.at_market_ms <= at_ms && s.tests > 0);
    let count =
        |placebo, passed: bool| known().filter(|s| s.placebo == placebo && (!passed || s.entered > 0)).count() as u64;
    let (real, placebo) = (count(false, false), count(true, false));
    (placebo > 0).then(|| PlaceboComparison::of(real, count(false, true), placebo, count(true, true)))
}

/// Runs the session that the placebo island owes after the island's last one.
///
/// # Errors
/// Whatever failed; calling again does it from its beginning, with the same result.
pub(crate) async fn run_if_due(parts: &SessionParts, token: &LeaseToken, island: &str) -> anyhow::Result<Did> {
    let every = u64::from(parts.search.protocol.placebo_every_sessions);
    let store = &parts.process.store;
    let Some(last) = store.last_finished_session(island).await? else { return Ok(Did::Nothing) };
    if every == 0 || !last.spec.number.is_multiple_of(every) {
        return Ok(Did::Nothing);
    }
    let Some(NumberedSession { numbers, has_placebo: false, .. }) = store.session_numbers(last.id).await? else {
        return Ok(Did::Nothing);
    };
    let config = &parts.search.protocol;
    let account = store.placebo_account(config, last.spec.window_to_ms).await?;
    let Some(record) = run(parts, &last, numbers, account).await? else { return Ok(Did::Stopped) };
    store.record_placebo(token, &record, config).await?;
    tracing::info!(
        session = last.spec.number,
        island,
        p_value = record.p_value,
        entered = record.entered,
        promoted = record.promoted,
        "placebo session finished"
    );
    tell_if_frozen(&parts.process, record.at_market_ms).await?;
    Ok(Did::Work)
}

/// A session on the null market of the last session's candles, shifted back by a shadow period where there are candles
/// for it; `None` when it was stopped.
async fn run(
    parts: &SessionParts,
    last: &Session,
    numbers: SessionNumbers,
    account: Account,
) -> anyhow::Result<Option<PlaceboRecord>> {
    let spec = &last.spec;
    let shadow_days = parts.gates.limits.shadow_max_days.ceil() as u32;
    let (candles, shadow_days) = load(parts, spec, shadow_days).await?;
    let to_days = |ms: i64| u32::try_from(ms / DAY_MS).unwrap_or(0);
    let days = Days {
        search: to_days(spec.holdout_from_ms - spec.window_from_ms),
        holdout: to_days(spec.window_to_ms - spec.holdout_from_ms),
        shadow: shadow_days,
        live: 0,
    };
    let split_ms = spec.holdout_from_ms - i64::from(shadow_days) * DAY_MS;
    let draws = parts.search.search.draws_by_lessons();
    let past = if draws { lessons::past(parts, spec.market, split_ms).await? } else { Vec::new() };
    let seed = spec.seed.child("placebo", 0);
    let window_ms = (split_ms - i64::from(days.search) * DAY_MS, spec.window_to_ms);
    let SessionParts { compute, gates, search, process, .. } = parts.clone();
    let tried = parts
        .compute
        .run(move || {
            let plan = RunPlan {
                session: search.plan(),
                terms: &compute.terms,
                gate: &*gates.gate,
                staying: &gates.staying,
                limits: &gates.limits,
                account,
                known: &[],
                past: &past,
                days,
                review_ms: DAY_MS,
            };
            let stop = || process.stop.is_cancelled();
            let refits = candles.refits.map(|refits| null_refits(&refits, seed)).transpose()?.map(Arc::new);
            match candles.of {
                Of::Symbols(loaded) => {
                    // Drawn by the time of each candle: every range of it is part of one null market, and what its models
                    // predict of all of it is, up to a time, what they predicted by then.
                    let null = null_window(&loaded.window(window_ms.0, window_ms.1)?, seed, 0)?;
                    let mut said = BTreeMap::new();
                    if let Some(refits) = &refits {
                        let beside = window_beside(&null, refits)?;
                        said.extend(beside.symbols().iter().map(|s| (s.symbol.clone(), Arc::clone(&s.readings))));
                    }
                    let by = |s: &SymbolWindow, ms| {
                        said.get(&s.symbol).map(|said| said.models_until(ms)).unwrap_or_default()
                    };
                    let cut = |from_ms, to_ms| {
                        let null = null_window(&loaded.window(from_ms, to_ms)?, seed, 0)?;
                        Ok(null.with_models(|s| by(s, to_ms)))
                    };
                    let world = RulesWorld { engine: &compute.engine, terms: &compute.terms, cut: &cut, refits };
                    protocol::run_in(&plan, &world, split_ms, seed, Vec::new(), &stop)
                }
                Of::Market(market) => {
                    let mut null = null_panel(&market.panel, NullKind::Time, seed).map_err(NoNull::from)?;
                    drop(market);
                    if let Some(refits) = &refits {
                        null = panel_beside(&null, refits)?;
                    }
                    let (terms, variation) = (compute.portfolio_terms(), &search.search.ranking);
                    let world = RankingWorld { panel: &null, terms, variation, refits };
                    protocol::run_in(&plan, &world, split_ms, seed, Vec::new(), &stop)
                }
            }
        })
        .await?;
    let run = match tried {
        Err(RunError::Stopped) => return Ok(None),
        tried => tried?,
    };
    let selected = run.searched.p_value <= parts.gates.limits.max_p_value;
    Ok(Some(PlaceboRecord {
        session_id: last.id,
        island: spec.island.clone(),
        at_market_ms: spec.window_to_ms,
        numbers,
        p_value: run.searched.p_value,
        null_searches: run.searched.null_searches.into(),
        as_good: run.searched.as_good.into(),
        candidates: run.candidates.into(),
        entered: run.entered.into(),
        promoted: run.promoted.into(),
        tests: run.tested.len() as u64,
        detail: json!({
            "selected": selected,
            "days": days,
            "evaluations": run.evaluations,
            "null_evaluations": run.null_evaluations,
            "best_holdout_log_e": run.best_holdout_log_e,
            "best_total_log_e": run.best_total_log_e,
            "live_after_days": run.live_after_days,
        }),
    }))
}

/// The session's candles, with a shadow period more before them where the exchange has them.
async fn load(parts: &SessionParts, spec: &NewSession, shadow_days: u32) -> anyhow::Result<(SessionCandles, u32)> {
    let SessionParts { candles, search, .. } = parts;
    let warmup_from_ms = spec.window_from_ms - search.warmup_ms();
    let from = |from_ms| SessionCandles::load_from(candles.cached(), search, spec, from_ms);
    let shadow_ms = i64::from(shadow_days) * DAY_MS;
    // Without the exchange it goes on with what is cached.
    let (market, interval, longer_ms) = (spec.market, spec.timeframe, warmup_from_ms - shadow_ms);
    let refreshed = match &search.ranks {
        Some(quote) => candles.refresh_market(market, quote, interval, longer_ms).await.map(drop),
        None => candles.refresh(market, &spec.symbols, interval, longer_ms).await.map(drop),
    };
    let span_ms = (longer_ms, spec.window_to_ms);
    let of_models = candles.refresh_models(&search.chosen(), interval, span_ms).await.map(drop);
    if let Err(error) = refreshed.and(of_models) {
        tracing::debug!(error = format!("{error:#}"), "candles of the placebo island");
    }
    let loaded = from(longer_ms).await?;
    let reaches_back = match &loaded.of {
        Of::Symbols(loaded) => loaded.reaches_back_to(spec.window_from_ms - shadow_ms),
        Of::Market(_) => loaded.since_ms(search).is_some_and(|since_ms| since_ms <= spec.window_from_ms - shadow_ms),
    };
    if reaches_back {
        return Ok((loaded, shadow_days));
    }
    Ok((from(warmup_from_ms).await?, 0))
}

/// Tells whoever is told of events that promotions are frozen; once a day of market time.
async fn tell_if_frozen(process: &Process, at_ms: i64) -> anyhow::Result<()> {
    let sessions = process.store.protocol_sessions(10_000).await?;
    let Some(c) = comparison(&sessions, at_ms).filter(|c| c.frozen) else { return Ok(()) };
    let error = format!(
        "promotions are frozen: {} of {} sessions on the real market and {} of {} on null markets entered shadow: \
         no significant difference",
        c.real_passed, c.real_sessions, c.placebo_passed, c.placebo_sessions
    );
    tracing::warn!("{error}");
    let trouble = Trouble { step: "promotions".to_owned(), error, failures: 1, at_ms };
    let key = format!("promotions_frozen:{}", at_ms.div_euclid(DAY_MS));
    for event in Notice::SystemError(trouble).events(&key, &process.channels) {
        process.store.enqueue_event(&event).await?;
    }
    Ok(())
}
