//! Trouble that does not pass: a parked loop becomes a dead letter and a notification. Sends nothing: it goes to the
//! outbox.
//!
//! While the database is out of reach, what is to be told waits in memory and is stored once it is back. That it was
//! away is told once, however many loops miss it.

use super::runtime::supervisor::Event;
use crate::usecases::parts::Process;
use clock::Clock;
use notify::{Channel, Notice, Trouble};
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{DeadLetterKind, NewDeadLetter, NewEvent, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Most that waits in memory: each part of the daemon could be told of many times before it is reached.
const MOST_WAITING: usize = 256;
/// Between two tries to store what waits.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether an error says that the database cannot be reached.
pub(super) fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<StoreError>()).any(StoreError::is_unreachable)
}

/// Something to store as soon as that is possible.
#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    letter: Option<NewDeadLetter>,
    events: Vec<NewEvent>,
}

/// What waits, and who misses the database.
#[derive(Default)]
struct Told {
    waiting: VecDeque<Waiting>,
    dropped: u64,
    away: BTreeSet<&'static str>,
    away_since_ms: i64,
}

impl Told {
    /// Takes note of an event; what is to be stored of it.
    fn take(&mut self, event: &Event, channels: &[Channel], now_ms: i64) {
        match event {
            Event::Parked { name, failures, error } => {
                let letter = NewDeadLetter {
                    kind: DeadLetterKind::Step,
                    subject: (*name).to_owned(),
                    error: error.clone(),
                    genome: None,
                    context: json!({ "failures": failures }),
                };
                let trouble =
                    Trouble { step: (*name).into(), error: error.clone(), failures: *failures, at_ms: now_ms };
                self.keep(Waiting { letter: Some(letter), events: told_of(trouble, channels) });
            }
            Event::Away { name, error } => {
                if self.away.is_empty() {
                    tracing::error!(error, "the database is out of reach: all that needs it asks again every second");
                    self.away_since_ms = now_ms;
                    let trouble = Trouble { step: "database".into(), error: error.clone(), failures: 1, at_ms: now_ms };
                    self.keep(Waiting { letter: None, events: told_of(trouble, channels) });
                }
                self.away.insert(name);
            }
            Event::Back { name } => {
                if self.away.remove(name) && self.away.is_empty() {
                    let away_s = (now_ms - self.away_since_ms) as f64 / 1000.0;
                    tracing::info!(away_s, "the database is back");
                }
            }
            Event::Failed { .. } | Event::Recovered { .. } => {}
        }
    }

    /// The oldest goes where there are too many: the newest tell what is wrong now.
    fn keep(&mut self, one: Waiting) {
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(one);
    }
}

/// The events of a trouble: one an hour, step and channel is stored, however often it is told.
fn told_of(trouble: Trouble, channels: &[Channel]) -> Vec<NewEvent> {
    let key = trouble.key();
    Notice::SystemError(trouble).events(&key, channels)
}

/// Whoever is told of trouble, and stores it.
pub(crate) struct Troubles {
    process: Process,
    clock: Arc<dyn Clock>,
    told: Mutex<Told>,
    news: Notify,
    /// Nothing more will be told.
    ended: CancellationToken,
}

/// The task that stores what is told.
pub(crate) struct Keeper {
    troubles: Arc<Troubles>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Stores what still waits, trying each once; whatever cannot be stored within the time is logged.
    pub(crate) async fn end(self, within: Duration) {
        self.troubles.ended.cancel();
        let _ = tokio::time::timeout(within, self.task).await;
        for waiting in &self.troubles.locked().waiting {
            let events: Vec<&str> = waiting.events.iter().map(|event| event.key.as_str()).collect();
            let subject = waiting.letter.as_ref().map(|letter| letter.subject.as_str());
            tracing::error!(?events, subject, "stopped before trouble could be stored: it is only in this log");
        }
    }
}

impl Troubles {
    /// Nothing is wrong yet; the task ends when it is asked to.
    pub(crate) fn start(process: Process, clock: Arc<dyn Clock>) -> (Arc<Self>, Keeper) {
        let ended = CancellationToken::new();
        let troubles = Arc::new(Self { process, clock, told: Mutex::default(), news: Notify::new(), ended });
        let task = tokio::spawn(Arc::clone(&troubles).keep());
        (Arc::clone(&troubles), Keeper { troubles, task })
    }

    fn locked(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what happened to a loop. Does not wait.
    pub(crate) fn tell(&self, event: &Event) {
        let now_ms = self.clock.now_ms();
        self.locked().take(event, &self.process.channels, now_ms);
        self.news.notify_one();
    }

    /// Stores what is told, in its order. Once ended, until nothing waits or the database does not answer.
    async fn keep(self: Arc<Self>) {
        loop {
            let (next, dropped) = {
                let mut told = self.locked();
                (told.waiting.front().cloned(), std::mem::take(&mut told.dropped))
            };
            if dropped > 0 {
                tracing::error!(dropped, "too much trouble waited to be stored: the oldest is only in this log");
            }
            let ended = self.ended.is_cancelled();
            let Some(next) = next else {
                if ended {
                    return;
                }
                tokio::select! {
                    () = self.ended.cancelled() => {}
                    () = self.news.notified() => {}
                }
                continue;
            };
            match self.store(&next).await {
                Err(error) if error.is_transient() && ended => return,
                Err(error) if error.is_transient() => tokio::select! {
                    () = self.ended.cancelled() => {}
                    () = tokio::time::sleep(AGAIN) => {}
                },
                outcome => {
                    if let Err(error) = outcome {
                        tracing::error!(%error, "cannot store trouble that was told of");
                    }
                    let mut told = self.locked();
                    // While it was stored, the oldest may have gone to make room.
                    if told.waiting.front() == Some(&next) {
                        told.waiting.pop_front();
                    }
                }
            }
        }
    }

    async fn store(&self, waiting: &Waiting) -> Result<(), StoreError> {
        for event in &waiting.events {
            self.process.store.enqueue_event(event).await?;
        }
        if let Some(letter) = &waiting.letter {
            self.process.store.add_dead_letter(letter).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn keys(told: &Told) -> Vec<&str> {
        told.waiting.iter().flat_map(|one| &one.events).map(|event| event.key.as_str()).collect()
    }

    #[test]
    fn a_parked_step_is_told_of_once_an_hour() {
        let parked = |failures| Event::Parked { name: "shadow", failures, error: "no".into() };
        let mut told = Told::default();
        for (failures, at_ms) in [(5, 10 * HOUR), (6, 11 * HOUR - 1), (7, 11 * HOUR)] {
            told.take(&parked(failures), &[Channel::Slack], at_ms);
        }
        let found = keys(&told);
        assert_eq!((found.len(), found[0] == found[1], found[1] == found[2]), (3, true, false), "{found:?}");
        assert!(told.waiting.iter().all(|one| one.letter.as_ref().unwrap().subject == "shadow"));
        told.take(&Event::Failed { name: "shadow", failures: 1, error: "no".into() }, &Channel::ALL, 0);
        assert_eq!(told.waiting.len(), 3);
    }

    #[test]
    fn an_outage_is_told_of_once_however_many_miss_the_database() {
        let (mut told, away) = (Told::default(), |name| Event::Away { name, error: "refused".into() });
        for name in ["shadow", "commands", "outbox"] {
            told.take(&away(name), &Channel::ALL, HOUR);
        }
        assert_eq!(keys(&told), ["system_error:database:1"; 2], "one a channel");
        assert!(told.waiting[0].letter.is_none(), "nothing failed for good");
        told.take(&Event::Back { name: "shadow" }, &Channel::ALL, HOUR);
        told.take(&away("shadow"), &Channel::ALL, HOUR);
        for name in ["shadow", "commands", "outbox"] {
            told.take(&Event::Back { name }, &Channel::ALL, HOUR);
        }
        assert_eq!(told.waiting.len(), 1);
        told.take(&away("outbox"), &Channel::ALL, 3 * HOUR);
        assert_eq!(told.waiting.len(), 2, "another outage is another one");
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_newest() {
        let mut told = Told::default();
        for n in 0..1_000 {
            told.take(&Event::Parked { name: "shadow", failures: n, error: String::new() }, &Channel::ALL, HOUR);
        }
        assert_eq!((told.waiting.len(), told.dropped), (MOST_WAITING, 1_000 - MOST_WAITING as u64));
        assert_eq!(told.waiting.back().unwrap().letter.as_ref().unwrap().context["failures"], 999);
    }

    #[test]
    fn only_a_database_that_is_not_there_is_out_of_reach() {
        let of = |error: StoreError| is_unreachable(&anyhow::Error::from(error).context("a run").context("a loop"));
        assert!(of(StoreError::Unreachable("connection refused".into())));
        assert!(!of(StoreError::Timeout("a lock".into())) && !of(StoreError::Conflict("x".into())));
        assert!(!is_unreachable(&anyhow::anyhow!("the database is unreachable")));
    }
}
