//! Strategies: what each is, how it moved, what it scored, and lists of them. Decides nothing.

mod listing;
pub(crate) mod scores;
pub(crate) mod strategy;
pub(crate) mod transitions;
mod views;

pub use listing::{ListedStrategy, StrategyFacets, StrategyQuery, StrategySort};
pub use scores::{NewScore, RankedScore, Score, ScorePart};
pub(crate) use strategy::{COLUMNS, insert, put_stat, read, reason, symbols};
pub use strategy::{
    Lineage, NewStrategy, Page, StatRow, StatSource, Strategy, StrategyDetail, StrategyFilter, TradeRow,
};
pub use transitions::{NewPaperRun, TransitionOutcome, TransitionRecord, TransitionRow};
pub use views::{MATERIALIZED_VIEWS, PortfolioDay, ProvenStrategy, StrategySummary};
