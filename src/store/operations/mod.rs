//! What keeps the daemon going: leases, the outbox, dead letters, commands, reviews, and where everything stands. Obeys
//! and sends nothing.

mod commands;
pub(crate) mod dead_letters;
pub(crate) mod lease;
mod monitoring;
pub(crate) mod outbox;
mod overview;
mod reviews;
mod status;

pub use commands::{Command, CommandKind, EXPIRED, NewCommand, Pause, Request};
pub use dead_letters::{DeadLetter, DeadLetterKind, DeadLetterStatus, NewDeadLetter};
pub use lease::{Lease, LeaseToken};
pub use monitoring::{AssetRegime, BookLine, DeploymentLine, ModelLine, MonitoringSnapshot, MoveLine};
pub use outbox::{ClaimedEvent, Delivery, NewEvent, OutboxDepth};
pub use overview::Overview;
pub use reviews::DailyReview;
pub use status::{FeedStatus, RunnerStatus};
