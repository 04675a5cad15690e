//! Notes of the audit trail's head outside the database, kept by the daemon and by an operator alike. Verifies nothing.

use anyhow::Context as _;
use chrono::DateTime;
use clock::Clock;
use std::io;
use std::sync::Arc;
use store::{AnchorFile, AuditAnchor, AuditHead, Beginning, Store};
use tokio::sync::Mutex;

/// Keeps the notes of one file.
pub(crate) struct AuditAnchors {
    pub(crate) store: Store,
    pub(crate) file: AnchorFile,
    pub(crate) clock: Arc<dyn Clock>,
    /// Those who note take turns.
    turn: Mutex<()>,
}

impl AuditAnchors {
    pub(crate) fn new(store: Store, file: AnchorFile, clock: Arc<dyn Clock>) -> Self {
        Self { store, file, clock, turn: Mutex::default() }
    }

    /// All notes, oldest first.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<AuditAnchor>> {
        self.with_file(|file| file.read()).await
    }

    /// Notes the head, where it moved. With a key, notes begin at a place with an entry of the trail that says so: by
    /// itself where the trail is new, where another process keeps it too, or where notes are older than the key; else
    /// only for an operator (`is_wanted`), since a file that went missing must not come back unseen.
    ///
    /// # Errors
    /// When the database does not answer, the file cannot be read or written, or notes would begin that must not.
    pub(crate) async fn note(&self, is_wanted: bool, actor: &str) -> anyhow::Result<AuditHead> {
        let _turn = self.turn.lock().await;
        let known = self.read().await?;
        if self.store.has_audit_key() && !known.iter().any(|anchor| self.store.authenticates(anchor)) {
            let why = match (is_wanted, known.is_empty()) {
                (true, _) => Beginning::Wanted,
                (false, true) => Beginning::Nothing,
                (false, false) if known.iter().all(|anchor| anchor.mac.is_none()) => Beginning::Older,
                (false, false) => anyhow::bail!("{} holds anchors of another key", self.file.path().display()),
            };
            if !self.store.begin_anchors(&self.place(), why, actor).await? {
                anyhow::bail!(
                    "{} holds no anchor of the configured key, and nothing tells that the trail is the one it was: look with \
                     `sg-ai audit verify`; if all is as it should be, `sg-ai audit anchor` begins anew",
                    self.file.path().display()
                );
            }
        }
        let now = DateTime::from_timestamp_millis(self.clock.now_ms()).context("the clock is outside the calendar")?;
        let head = self.store.audit_head().await?;
        let anchor = self.store.anchor(&head, now);
        self.with_file(move |file| file.note(anchor)).await?;
        Ok(head)
    }

    /// Where the notes are, for the trail.
    fn place(&self) -> String {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let path = std::path::absolute(self.file.path()).unwrap_or_else(|_| self.file.path().to_owned());
        format!("{}:{}", host.as_deref().unwrap_or("unknown host"), path.display())
    }

    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AnchorFile) -> io::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let file = self.file.clone();
        let done = tokio::task::spawn_blocking(move || work(&file)).await.context("the file's task panicked")?;
        done.with_context(|| format!("the audit trail's anchors in {}", self.file.path().display()))
    }
}
