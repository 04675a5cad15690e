//! Books: the pipeline that runs and those before it, their blocks, days and moves. Walks and judges nothing.

mod deployments;
mod rows;

pub(crate) use deployments::total_of_books;
pub use rows::{
    BookBlock, BookDay, BookDeployment, BookMember, BookMove, BookRow, BookStep, BookTransition, LiveMember, NewBook,
};

use crate::{
    LeaseToken, Page, Store, StoreError, Tx, audit, clean, operations::outbox, row::Named as _, seal,
    transaction::Params,
};
use candles::Symbol;
use lifecycle::{DisableReason, State};
use serde_json::json;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

const COLUMNS: &str = "id, number, market, interval, quote, identity, seed, symbols, first_ms, from_ms, began_ms, state, \
     disable_reason, revision, standing, created_at, state_changed_at, stepped_at";

fn reason(name: Option<&str>) -> Result<Option<DisableReason>, StoreError> {
    let known = |name: &str| {
        let found = DisableReason::ALL.into_iter().find(|reason| reason.name() == name);
        found.ok_or_else(|| StoreError::decode(format!("{name:?} is no reason to disable")))
    };
    name.map(known).transpose()
}

fn read(row: &Row) -> Result<BookRow, StoreError> {
    let symbols: Vec<String> = row.try_get("symbols")?;
    Ok(BookRow {
        id: row.try_get("id")?,
        number: row.small("number")?,
        market: row.parse("market")?,
        interval: row.parse("interval")?,
        quote: row.try_get("quote")?,
        identity: row.json("identity")?,
        seed: row.seed("seed")?,
        symbols: symbols.iter().map(|s| s.parse().map_err(StoreError::decode)).collect::<Result<_, _>>()?,
        first_ms: row.try_get("first_ms")?,
        from_ms: row.try_get("from_ms")?,
        began_ms: row.try_get("began_ms")?,
        state: row.parse("state")?,
        disable_reason: reason(row.try_get("disable_reason")?)?,
        revision: row.count("revision")?,
        standing: row.try_get("standing")?,
        created_at: row.try_get("created_at")?,
        state_changed_at: row.try_get("state_changed_at")?,
        stepped_at: row.try_get("stepped_at")?,
    })
}

/// The first of these books.
async fn first(tx: &Tx, which: &str, params: Params<'_>) -> Result<Option<BookRow>, StoreError> {
    let sql = format!("select {COLUMNS} from books {which}");
    tx.row_opt(&sql, params).await?.as_ref().map(read).transpose()
}

/// Moves a book inside the caller's transaction; whether it was not moved so before.
async fn apply(tx: &Tx, key: &audit::ChainKey, record: &BookMove) -> Result<bool, StoreError> {
    let sql = "select state from books where id = $1 for update";
    let row = tx.row_opt(sql, &[&record.book_id]).await?;
    let current: State = row.ok_or_else(|| StoreError::not_found("book", record.book_id))?.parse("state")?;
    // Asked under the row's lock: a retry sees what its first try committed.
    if tx.row_opt("select 1 from book_transitions where id = $1", &[&record.id]).await?.is_some() {
        return Ok(false);
    }
    if current != record.from {
        let why = format!("the book is {current}, not {}: its state changed meanwhile", record.from);
        return Err(StoreError::Conflict(why));
    }
    let reason = record.reason.map(DisableReason::name);
    let sql = "update books set state = $2, disable_reason = $3, state_changed_at = now() where id = $1";
    tx.execute(sql, &[&record.book_id, &record.to.name(), &reason]).await?;
    let sql = "insert into book_transitions
            (id, book_id, from_state, to_state, reason, summary, checks, actor, at_market_ms)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let params: Params<'_> = &[
        &record.id,
        &record.book_id,
        &record.from.name(),
        &record.to.name(),
        &reason,
        &clean(&record.summary),
        &Json(&record.checks),
        &clean(&record.actor),
        &record.at_market_ms,
    ];
    tx.execute(sql, params).await?;
    if record.from == State::Live {
        deployments::end(tx, record.book_id, record.at_market_ms).await?;
    }
    for event in &record.events {
        outbox::enqueue(tx, event).await?;
    }
    let entry = audit::AuditEntry {
        event: "book_changed",
        entity_type: "book",
        entity_id: &record.book_id.to_string(),
        actor: &record.actor,
        before: Some(json!({ "state": record.from })),
        after: Some(json!({ "state": record.to, "disable_reason": reason })),
        metadata: json!({
            "transition_id": record.id,
            "summary": record.summary,
            "checks": record.checks,
            "at_market_ms": record.at_market_ms,
        }),
        correlation_id: Some(record.id),
    };
    audit::append(tx, key, &entry).await?;
    Ok(true)
}

impl Store {
    /// The book that runs: the newest that is not disabled.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn running_book(&self) -> Result<Option<BookRow>, StoreError> {
        self.transaction("running_book", |tx| async move { first(&tx, "where state <> 'disabled'", &[]).await }).await
    }

    /// The book with this number, or the newest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn book(&self, number: Option<u32>) -> Result<Option<BookRow>, StoreError> {
        self.transaction("book", |tx| async move {
            let number = number.map(|number| i32::try_from(number).unwrap_or(i32::MAX));
            first(&tx, "where number = $1 or $1 is null order by number desc limit 1", &[&number]).await
        })
        .await
    }

    /// All books, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn books(&self, page: Page) -> Result<Vec<BookRow>, StoreError> {
        self.transaction("books", |tx| async move {
            let sql = format!("select {COLUMNS} from books order by number desc limit $1 offset $2");
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Begins a book, with the next number. One that ran is disabled first, as replaced.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn begin_book(&self, new: &NewBook, lease: &LeaseToken) -> Result<BookRow, StoreError> {
        self.transaction("begin_book", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            if let Some(found) = first(tx, "where id = $1", &[&new.id]).await? {
                // A retry whose first try was committed.
                return Ok(found);
            }
            if let Some(before) = first(tx, "where state <> 'disabled' for update", &[]).await? {
                let record = BookMove {
                    id: Uuid::now_v7(),
                    book_id: before.id,
                    from: before.state,
                    to: State::Disabled,
                    reason: Some(DisableReason::Deprecated),
                    summary: "other settings, or a program that comes to other numbers, began another pipeline"
                        .to_owned(),
                    checks: Vec::new(),
                    actor: "book".to_owned(),
                    at_market_ms: new.began_ms,
                    events: Vec::new(),
                };
                apply(tx, &self.inner.audit_key, &record).await?;
            }
            let symbols: Vec<&str> = new.symbols.iter().map(Symbol::as_str).collect();
            let walks = tx.keys().seal_text(&new.walks, &seal::book_of(new.id))?;
            let sql = "insert into books
                    (id, number, market, interval, quote, identity, seed, symbols, first_ms, from_ms, began_ms, walks)
                select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from books";
            let params: Params<'_> = &[
                &new.id,
                &new.market.to_string(),
                &new.interval.to_string(),
                &new.quote,
                &Json(&new.identity),
                &new.seed.0.to_string(),
                &symbols,
                &new.first_ms,
                &new.from_ms,
                &new.began_ms,
                &walks,
            ];
            tx.execute(sql, params).await?;
            let found = first(tx, "where id = $1", &[&new.id]).await?;
            let found = found.ok_or_else(|| StoreError::not_found("book", new.id))?;
            let entry = audit::AuditEntry {
                event: "book_changed",
                entity_type: "book",
                entity_id: &new.id.to_string(),
                actor: "book",
                before: None,
                after: Some(json!({ "state": State::Candidate, "number": found.number })),
                metadata: json!({ "identity": new.identity, "began_ms": new.began_ms, "from_ms": new.from_ms }),
                correlation_id: None,
            };
            audit::append(tx, &self.inner.audit_key, &entry).await?;
            Ok(found)
        })
        .await
    }

    /// Both walks of a book, as they were stored last, with the revision that they are of.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn book_walks(&self, id: Uuid) -> Result<(u64, String), StoreError> {
        self.transaction("book_walks", |tx| async move {
            let row = tx.row_opt("select revision, walks from books where id = $1", &[&id]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("book", id))?;
            Ok((row.count("revision")?, tx.keys().open_text(row.try_get("walks")?, &seal::book_of(id))?))
        })
        .await
    }

    /// Stores a step; the new revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another step was stored meanwhile, [`StoreError::LeaseLost`].
    pub async fn store_book_step(&self, step: &BookStep, lease: &LeaseToken) -> Result<u64, StoreError> {
        self.transaction("store_book_step", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let what = seal::book_of(step.book_id);
            let walks = tx.keys().seal_text(&step.walks, &what)?;
            let sql = "update books set walks = $3, standing = $4, revision = revision + 1, stepped_at = now(),
                    insight = coalesce($5, insight)
                where id = $1 and revision = $2";
            let before = crate::count(step.revision);
            let params: Params<'_> = &[&step.book_id, &before, &walks, &step.standing, &step.insight];
            if tx.execute(sql, params).await? == 0 {
                // A retry whose first try was committed finds its own walks.
                let row = tx.row_opt("select revision, walks from books where id = $1", &[&step.book_id]).await?;
                let row = row.ok_or_else(|| StoreError::not_found("book", step.book_id))?;
                let stored = tx.keys().open_text(row.try_get("walks")?, &what)?;
                if row.count("revision")? == step.revision + 1 && stored == step.walks {
                    return Ok(step.revision + 1);
                }
                return Err(StoreError::Conflict("another process stored a step of the book meanwhile".to_owned()));
            }
            for block in &step.blocks {
                let body = tx.keys().seal_json(&block.body, &what)?;
                let members = i32::try_from(block.members).unwrap_or(i32::MAX);
                let sql = "insert into book_blocks
                        (book_id, is_placebo, begin_ms, end_ms, is_over, members, cash, body)
                    values ($1, $2, $3, $4, $5, $6, $7, $8)
                    on conflict (book_id, is_placebo, begin_ms)
                        do update set is_over = excluded.is_over, body = excluded.body";
                let params: Params<'_> = &[
                    &step.book_id,
                    &block.is_placebo,
                    &block.begin_ms,
                    &block.end_ms,
                    &block.is_over,
                    &members,
                    &block.cash,
                    &body,
                ];
                tx.execute(sql, params).await?;
            }
            for m in &step.members {
                let sql = "insert into book_members
                        (book_id, begin_ms, place, genome_hash, niche, weight, expected_sharpe, false_discovery)
                    values ($1, $2, $3, $4, $5, $6::double precision, $7::double precision, $8::double precision)
                    on conflict do nothing";
                let place = i32::try_from(m.place).unwrap_or(i32::MAX);
                let params: Params<'_> = &[
                    &step.book_id,
                    &m.begin_ms,
                    &place,
                    &m.genome_hash,
                    &m.niche,
                    &m.weight,
                    &m.expected_sharpe,
                    &m.false_discovery,
                ];
                tx.execute(sql, params).await?;
            }
            for day in &step.days {
                let sql = "insert into book_days (book_id, is_placebo, day_ms, net, benchmark, hedged, step, log_e,
                        bet_log_e)
                    values ($1, $2, $3, $4::double precision, $5::double precision, $6::double precision,
                        $7::double precision, $8::double precision, $9::double precision)";
                let BookDay { day_ms, net, benchmark, hedged, step: bet, log_e, bet_log_e } = day;
                let params: Params<'_> =
                    &[&step.book_id, &step.is_placebo, day_ms, net, benchmark, hedged, bet, log_e, bet_log_e];
                tx.execute(sql, params).await?;
            }
            Ok(step.revision + 1)
        })
        .await
    }

    /// Moves a book; whether it was not moved so before. Runners show their lease; operators have none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it is no longer in the state that it should leave, [`StoreError::LeaseLost`],
    /// [`StoreError::NotFound`].
    pub async fn move_book(&self, record: &BookMove, lease: Option<&LeaseToken>) -> Result<bool, StoreError> {
        self.transaction("move_book", |tx| async move {
            if let Some(lease) = lease {
                lease.verify(&tx).await?;
            }
            apply(&tx, &self.inner.audit_key, record).await
        })
        .await
    }

    /// The blocks of a book, or of its placebo, in order of time.
    ///
    /// # Errors
    /// When the database does not answer, or what is sealed does not open.
    pub async fn book_blocks(&self, id: Uuid, is_placebo: bool) -> Result<Vec<BookBlock>, StoreError> {
        self.transaction("book_blocks", |tx| async move {
            let sql = "select is_placebo, begin_ms, end_ms, is_over, members, cash, body from book_blocks
                where book_id = $1 and is_placebo = $2 order by begin_ms";
            let read = |row: &Row| {
                Ok(BookBlock {
                    is_placebo: row.try_get("is_placebo")?,
                    begin_ms: row.try_get("begin_ms")?,
                    end_ms: row.try_get("end_ms")?,
                    is_over: row.try_get("is_over")?,
                    members: row.small("members")?,
                    cash: row.try_get("cash")?,
                    body: tx.keys().open_json(row.try_get("body")?, &seal::book_of(id))?,
                })
            };
            tx.rows(sql, &[&id, &is_placebo]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The days of a book, or of its placebo, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn book_days(&self, id: Uuid, is_placebo: bool) -> Result<Vec<BookDay>, StoreError> {
        self.transaction("book_days", |tx| async move {
            let sql = "select day_ms, net::double precision, benchmark::double precision, hedged::double precision,
                    step::double precision, log_e::double precision, bet_log_e::double precision
                from book_days where book_id = $1 and is_placebo = $2 order by day_ms";
            let read = |row: &Row| {
                Ok(BookDay {
                    day_ms: row.try_get("day_ms")?,
                    net: row.try_get("net")?,
                    benchmark: row.try_get("benchmark")?,
                    hedged: row.try_get("hedged")?,
                    step: row.try_get("step")?,
                    log_e: row.try_get("log_e")?,
                    bet_log_e: row.try_get("bet_log_e")?,
                })
            };
            tx.rows(sql, &[&id, &is_placebo]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The moves of a book, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn book_transitions(&self, id: Uuid) -> Result<Vec<BookTransition>, StoreError> {
        self.transaction("book_transitions", |tx| async move {
            let sql = "select id, from_state, to_state, reason, summary, checks, actor, at_market_ms, created_at
                from book_transitions where book_id = $1 order by seq";
            let read = |row: &Row| {
                Ok(BookTransition {
                    id: row.try_get("id")?,
                    from: row.parse("from_state")?,
                    to: row.parse("to_state")?,
                    reason: reason(row.try_get("reason")?)?,
                    summary: row.try_get("summary")?,
                    checks: row.json("checks")?,
                    actor: row.try_get("actor")?,
                    at_market_ms: row.try_get("at_market_ms")?,
                    created_at: row.try_get("created_at")?,
                })
            };
            tx.rows(sql, &[&id]).await?.iter().map(read).collect()
        })
        .await
    }
}
