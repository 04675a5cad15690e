//! What a session is taught by strategies of earlier ones, on candles that its search may look at. Judges nothing.

use super::parts::SessionParts;
use candles::MarketKind;
use candles::time::DAY_MS;
use protocol::{Halves, RunError, SeenUntil, WarmStart};
use std::sync::Arc;
use store::{LeaseToken, Session, SessionLessons};

/// What earlier strategies teach a session that begins. A session that is begun again is taught what it was taught first.
///
/// Where nothing of the search is drawn by it, what is learnt is for people alone: then the first session of an island on each
/// market day is taught, and `None` comes back for the others.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn of_session(
    parts: &SessionParts,
    token: &LeaseToken,
    session: &Session,
    halves: &Arc<dyn Halves>,
) -> anyhow::Result<Option<SessionLessons>> {
    if let Some(before) = parts.process.store.session_lessons(session.id).await? {
        return Ok(Some(before));
    }
    let spec = &session.spec;
    if !parts.search.search.draws_by_lessons() {
        let day_ms = spec.window_to_ms.div_euclid(DAY_MS) * DAY_MS;
        if parts.process.store.was_taught(&spec.island, day_ms..day_ms + DAY_MS).await? {
            return Ok(None);
        }
    }
    let past = past(parts, spec.market, halves.seen_until().ms()).await?;
    let strategies = past.len() as u32;
    let halves = Arc::clone(halves);
    let learn = move || Ok::<_, RunError>(protocol::learnt(&past, &*halves.ground()?));
    let learnt = parts.compute.run(learn).await??;
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
    Ok(Some(lessons))
}

/// Strategies that searches of the market found before `split_ms`, and what had shaped them. What does not read teaches
/// nothing.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn past(parts: &SessionParts, market: MarketKind, split_ms: i64) -> anyhow::Result<Vec<WarmStart>> {
    // Nobody learns from strategies of the form that is not searched.
    let form = parts.search.search.form;
    let found = parts.process.store.past_strategies((market, form), split_ms).await?;
    let one = |past: store::PastStrategy| {
        let strategy = past.genome.read().ok()?.clone();
        Some(WarmStart { strategy, seen: SeenUntil::stated(past.seen_until_ms) })
    };
    Ok(found.into_iter().filter_map(one).collect())
}
