//! What a session is taught by strategies of earlier ones, on candles that its search may look at. Judges nothing.

use super::parts::SessionParts;
use candles::MarketKind;
use protocol::{SeenUntil, Split, WarmStart};
use std::sync::Arc;
use store::{LeaseToken, Session, SessionLessons};

/// What earlier strategies teach a session that begins, whether or not a share of its search is drawn by it. A session that
/// is begun again is taught what it was taught first.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn of_session(
    parts: &SessionParts,
    token: &LeaseToken,
    session: &Session,
    split: &Arc<Split>,
) -> anyhow::Result<SessionLessons> {
    if let Some(before) = parts.process.store.session_lessons(session.id).await? {
        return Ok(before);
    }
    let spec = &session.spec;
    let past = past(parts, spec.market, split.searchable.seen_until().ms()).await?;
    let strategies = past.len() as u32;
    let (engine, terms, split) = (Arc::clone(&parts.compute.engine), parts.compute.terms, Arc::clone(split));
    let learnt = parts.compute.run(move || protocol::learnt(&past, &split.searchable, &engine, &terms)).await?;
    let lessons = SessionLessons { strategies, learnt };
    let lessons = parts.process.store.record_lessons(token, session.id, &lessons).await?;
    if let Some(learnt) = &lessons.learnt {
        let [good, bad] = learnt.surest(1);
        tracing::info!(
            session = spec.number,
            island = spec.island,
            strategies,
            independent = learnt.independent,
            best = good.first().map(|(name, _)| *name),
            worst = bad.first().map(|(name, _)| *name),
            "earlier strategies taught a session"
        );
    }
    Ok(lessons)
}

/// Strategies that searches of the market found before `split_ms`, and what had shaped them. What does not read teaches
/// nothing.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn past(parts: &SessionParts, market: MarketKind, split_ms: i64) -> anyhow::Result<Vec<WarmStart>> {
    let found = parts.process.store.past_strategies(market, split_ms).await?;
    let one = |past: store::PastStrategy| {
        let strategy = past.genome.read().ok()?.rules()?.clone().into();
        Some(WarmStart { strategy, seen: SeenUntil::stated(past.seen_until_ms) })
    };
    Ok(found.into_iter().filter_map(one).collect())
}
