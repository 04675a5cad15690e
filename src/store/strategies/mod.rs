//! Strategies: what each is, how it moved, what it scored, and lists of them. Decides nothing.

mod lineage;
mod listing;
pub(crate) mod naming;
pub(crate) mod scores;
pub(crate) mod seen;
mod stats;
pub(crate) mod strategy;
pub(crate) mod transitions;
mod views;

pub use lineage::Lineage;
pub use listing::{FigureLimit, ListedEvidence, ListedStrategy, StrategyFacets, StrategyQuery, StrategySort};
pub use scores::{NewScore, RankedScore, Score, ScorePart};
pub use seen::seen_until;
pub(crate) use stats::put_stat;
pub use stats::{StatRow, StatSource};
pub(crate) use strategy::{COLUMNS, insert, read, reason, symbols};
pub use strategy::{NewStrategy, Page, Strategy, StrategyDetail, StrategyFilter, TradeRow};
pub use transitions::{NewPaperRun, TransitionOutcome, TransitionRecord, TransitionRow};
pub use views::{MATERIALIZED_VIEWS, PortfolioDay, ProvenStrategy, StrategySummary};
