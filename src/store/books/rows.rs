//! Books, their steps and moves as they are stored. Reads and writes nothing.

use crate::NewEvent;
use candles::{Interval, MarketKind, Symbol};
use chrono::{DateTime, Utc};
use genome::random::Seed;
use lifecycle::{Check, DeploymentStatus, DisableReason, Phase, State};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A book to begin.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct NewBook {
    pub id: Uuid,
    pub market: MarketKind,
    pub interval: Interval,
    /// All symbols that are paid in it.
    pub quote: String,
    /// What makes it this pipeline and no other, by name.
    pub identity: BTreeMap<String, String>,
    pub seed: Seed,
    /// Symbols that there were when it began.
    pub symbols: Vec<Symbol>,
    /// First candle that is looked at, UTC ms.
    pub first_ms: i64,
    /// Beginning of its history, UTC ms.
    pub from_ms: i64,
    /// Of its life, UTC ms.
    pub began_ms: i64,
    /// Its walk and its placebo's, at their beginning.
    pub walks: String,
}

/// A stored book.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookRow {
    pub id: Uuid,
    /// Which pipeline of this database, from 1.
    pub number: u32,
    pub market: MarketKind,
    pub interval: Interval,
    pub quote: String,
    pub identity: BTreeMap<String, String>,
    pub seed: Seed,
    #[serde(skip)]
    pub symbols: Vec<Symbol>,
    pub first_ms: i64,
    pub from_ms: i64,
    pub began_ms: i64,
    pub state: State,
    pub disable_reason: Option<DisableReason>,
    /// Counts what was written.
    pub revision: u64,
    /// What its runner says of it: progress, evidence, requirements, detectors; an object.
    pub standing: Value,
    pub created_at: DateTime<Utc>,
    pub state_changed_at: DateTime<Utc>,
    /// Wall time of its newest step; `None` before the first.
    pub stepped_at: Option<DateTime<Utc>>,
}

/// A block of a book.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookBlock {
    pub is_placebo: bool,
    pub begin_ms: i64,
    pub end_ms: i64,
    pub is_over: bool,
    pub members: u32,
    /// Why it holds cash.
    pub cash: Option<String>,
    /// All that is known of it, an object.
    pub body: Value,
}

/// A day of a book.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookDay {
    pub day_ms: i64,
    pub net: f64,
    pub benchmark: Option<f64>,
    pub hedged: f64,
    pub step: f64,
    pub log_e: Option<f64>,
    /// Of the bet that decides.
    pub bet_log_e: Option<f64>,
}

/// A step of a book, to be stored as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct BookStep {
    /// Which.
    pub book_id: Uuid,
    /// What it was made from: [`BookRow::revision`].
    pub revision: u64,
    /// Both walks after it.
    pub walks: String,
    /// [`BookRow::standing`] after it.
    pub standing: Value,
    /// Blocks that are new or went on.
    pub blocks: Vec<BookBlock>,
    /// Who trades in them, by hash; none of its placebo's.
    pub members: Vec<BookMember>,
    /// What the newest block is made of, where that was computed anew; an object.
    pub insight: Option<Value>,
    /// Whether `days` are its placebo's.
    pub is_placebo: bool,
    /// Days that are new.
    pub days: Vec<BookDay>,
}

/// A move of a book, to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct BookMove {
    /// Names it for ever: carried out once however often it is asked for.
    pub id: Uuid,
    /// Whose.
    pub book_id: Uuid,
    /// The state that it must have.
    pub from: State,
    /// The state that it gets.
    pub to: State,
    /// Why it is disabled, where it is.
    pub reason: Option<DisableReason>,
    /// For people.
    pub summary: String,
    /// What was needed, and what there was.
    pub checks: Vec<Check>,
    /// Who moves it.
    pub actor: String,
    /// Market time, UTC ms.
    pub at_market_ms: i64,
    /// Messages about it.
    pub events: Vec<NewEvent>,
}

/// A stored move.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookTransition {
    pub id: Uuid,
    pub from: State,
    pub to: State,
    pub reason: Option<DisableReason>,
    pub summary: String,
    pub checks: Vec<Check>,
    pub actor: String,
    pub at_market_ms: i64,
    pub created_at: DateTime<Utc>,
}

/// Who trades in a block, without its genome.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookMember {
    pub begin_ms: i64,
    /// From 0, the greatest expectation first.
    pub place: u32,
    /// SHA-256 of its canonical text.
    pub genome_hash: String,
    pub niche: String,
    /// Share of the book's equity that its targets are of.
    pub weight: f64,
    /// Annual, after costs.
    pub expected_sharpe: f64,
    pub false_discovery: f64,
}

/// A member of a live book, with the stored strategy of the same genome.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct LiveMember {
    pub book: u32,
    pub weight: f64,
    pub genome_hash: String,
    pub niche: String,
    pub strategy_id: Option<Uuid>,
    pub strategy: Option<String>,
}

/// What a live book has at work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BookDeployment {
    pub book_id: Uuid,
    pub phase: Phase,
    /// When that phase began, market time, UTC ms.
    pub phase_market_ms: i64,
    pub status: DeploymentStatus,
    /// Percent of capital; while paused what it had.
    pub allocation_pct: f64,
    /// Paused by an operator: until one resumes it.
    pub held: bool,
    /// Everything that made it what it is, in order.
    pub reasons: Vec<String>,
    pub started_market_ms: i64,
    pub ended_market_ms: Option<i64>,
}

impl BookDeployment {
    /// Percent of capital that is at work now.
    #[must_use]
    pub fn at_work_pct(&self) -> f64 {
        if self.status == DeploymentStatus::Active { self.allocation_pct } else { 0.0 }
    }
}
