//! What a strategy from outside the search has seen: what of it may still be evidence, and why there is none yet.
//!
//! Whoever fits a strategy has all candles up to the moment in which it is stored. So they count as seen unless somebody
//! states otherwise, and what is stated is audited. Measures nothing itself.

use super::{NewStrategy, Strategy, TransitionRecord};
use crate::{SERVICE_KIND, Store, StoreError, Tx};
use candles::time::rfc3339;
use lifecycle::State;

fn time(ms: i64) -> String {
    rfc3339(ms).unwrap_or_else(|| format!("{ms} ms"))
}

/// End of what a strategy from outside the search has seen, UTC ms: what is stated, or else everything up to now.
///
/// # Errors
/// In words, when what is stated lies in the future.
pub fn seen_until(stated_ms: Option<i64>, now_ms: i64) -> Result<i64, String> {
    match stated_ms {
        Some(ms) if ms > now_ms => Err(format!(
            "{} lies in the future, and nobody has seen candles of it: it is {} on the exchange's clock",
            time(ms),
            time(now_ms)
        )),
        Some(ms) => Ok(ms),
        None => Ok(now_ms),
    }
}

impl Strategy {
    /// End of the candles that may have shaped it, UTC ms. One that was stored before anybody asked may have seen all
    /// there was when it last became a candidate.
    #[must_use]
    pub fn may_have_seen_until_ms(&self) -> i64 {
        let unasked = || self.created_at.max(self.state_changed_at).timestamp_millis();
        self.seen_until_ms.unwrap_or_else(unasked)
    }
}

/// Refuses a strategy that is stored already with another statement of what it has seen.
pub(crate) async fn refuse_another(tx: &Tx, new: &NewStrategy) -> Result<(), StoreError> {
    let Some(stated_ms) = new.seen_until_ms.filter(|_| new.seen_is_stated) else { return Ok(()) };
    let sql = "select number, seen_until_ms from strategies where genome_hash = $1";
    let row = tx.row(sql, &[&new.genome_hash]).await?;
    let stored_ms: Option<i64> = row.try_get("seen_until_ms")?;
    if stored_ms == Some(stated_ms) {
        return Ok(());
    }
    let number: i64 = row.try_get("number")?;
    let stored = stored_ms.map_or_else(|| "what it did not state".to_owned(), time);
    Err(StoreError::Conflict(format!(
        "these rules are stored already, as strategy {number} that has seen candles up to {stored}, not up to {}: what \
         has been seen does not change; leave it out",
        time(stated_ms)
    )))
}

/// Notes what a strategy that is revived has seen: all candles up to then, or up to what is stated, but never less than
/// it had seen before. The end, UTC ms.
pub(crate) async fn on_revival(tx: &Tx, record: &TransitionRecord) -> Result<i64, StoreError> {
    let sql = "select seen_until_ms from strategies where id = $1";
    let before: Option<i64> = tx.row(sql, &[&record.strategy_id]).await?.try_get("seen_until_ms")?;
    let seen_ms = match (record.seen_until_ms, before) {
        (Some(stated), Some(before)) if stated < before => {
            return Err(StoreError::Conflict(format!(
                "strategy {} has seen candles up to {} already, so it cannot be revived as one that has seen none after {}",
                record.strategy_id,
                time(before),
                time(stated)
            )));
        }
        (Some(stated), _) => stated,
        (None, before) => record.at_market_ms.max(before.unwrap_or(record.at_market_ms)),
    };
    let sql = "update strategies set seen_until_ms = $2, updated_at = now() where id = $1";
    tx.execute(sql, &[&record.strategy_id, &seen_ms]).await?;
    Ok(seen_ms)
}

/// That a standing (of table `s`) is from before its strategy was last revived: what it says of the hold-out was looked at
/// before the strategy was brought back, so it is no evidence any more.
pub(crate) const VOID: &str = "exists (select from transitions v where v.strategy_id = s.strategy_id \
     and v.kind = 'revive' and v.created_at > s.created_at)";

/// Why a strategy that is still asked for proof has none on candles that it has not seen.
pub(crate) async fn no_holdout(tx: &Tx, strategy: &Strategy) -> Result<Option<String>, StoreError> {
    let sql = format!("select 1 from strategy_standings s where s.strategy_id = $1 and not {VOID}");
    if strategy.state == State::Disabled || tx.row_opt(&sql, &[&strategy.id]).await?.is_some() {
        return Ok(None);
    }
    let seen_ms = strategy.may_have_seen_until_ms();
    let mut why = format!(
        "no hold-out evidence: candles up to {} may have shaped it, and what it did on those proves nothing",
        time(seen_ms)
    );
    if strategy.kind == SERVICE_KIND {
        why.push_str("; no session judges what a client posted, an operator may approve it");
        return Ok(Some(why));
    }
    let symbols: Vec<&str> = strategy.symbols.iter().map(candles::Symbol::as_str).collect();
    let sql = "select holdout_from_ms from search_sessions
        where market = $1 and symbols = $2 and status = 'finished' order by window_to_ms desc limit 1";
    let newest = tx.row_opt(sql, &[&strategy.market.to_string(), &symbols]).await?;
    let began_ms: Option<i64> = newest.map(|row| row.try_get("holdout_from_ms")).transpose()?;
    why.push_str(&match began_ms {
        Some(ms) if ms < seen_ms => format!(
            "; it is judged by the first session whose hold-out begins no earlier, and that of the newest one began {}",
            time(ms)
        ),
        Some(_) => "; it waits for the next session, whose hold-out it has not seen".to_owned(),
        None => "; it is judged by the first session on its symbols whose hold-out begins no earlier".to_owned(),
    });
    Ok(Some(why))
}

impl Store {
    /// What the exchange's clock shows: what it last told, gone on with by the wall clock; the wall clock where it was
    /// never asked. UTC ms.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn market_now_ms(&self, wall_ms: i64) -> Result<i64, StoreError> {
        let told = self.feeds().await?;
        let told = told.iter().filter_map(|feed| Some((feed.exchange_time_ms?, feed.refreshed_at.timestamp_millis())));
        Ok(told.max().map_or(wall_ms, |(exchange_ms, at_ms)| exchange_ms + (wall_ms - at_ms).max(0)))
    }
}
