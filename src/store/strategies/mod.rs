//! Strategies: what each is, how it moved, what it scored, and lists of them. Decides nothing.

mod listing;
pub(crate) mod scores;
mod stats;
mod strategy;
pub(crate) mod transitions;
mod views;

pub use listing::{ListedStrategy, StrategyFacets, StrategyQuery, StrategySort};
pub use scores::{NewScore, RankedScore, Score, ScorePart};
pub(crate) use stats::put_stat;
pub use stats::{StatRow, StatSource};
pub(crate) use strategy::{COLUMNS, insert, read, reason, symbols};
pub use strategy::{Lineage, NewStrategy, Page, Strategy, StrategyDetail, StrategyFilter, TradeRow};
pub use transitions::{NewPaperRun, TransitionOutcome, TransitionRecord, TransitionRow};
pub use views::{MATERIALIZED_VIEWS, PortfolioDay, ProvenStrategy, StrategySummary};
