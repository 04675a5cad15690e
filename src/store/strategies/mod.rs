//! Strategies: what each is, how it moved, what it scored, and lists of them. Decides nothing.

mod lineage;
mod listing;
pub(crate) mod scores;
pub(crate) mod seen;
pub(crate) mod strategy;
pub(crate) mod transitions;
mod views;

pub use lineage::Lineage;
pub use listing::{ListedStrategy, StrategyFacets, StrategyQuery, StrategySort};
pub use scores::{NewScore, RankedScore, Score, ScorePart};
pub use seen::seen_until;
pub(crate) use strategy::{COLUMNS, insert, put_stat, read, reason, symbols};
pub use strategy::{NewStrategy, Page, StatRow, StatSource, Strategy, StrategyDetail, StrategyFilter, TradeRow};
pub use transitions::{NewPaperRun, TransitionOutcome, TransitionRecord, TransitionRow};
pub use views::{MATERIALIZED_VIEWS, PortfolioDay, ProvenStrategy, StrategySummary};
