//! Named leases: at most one process does a piece of work, and a former holder can write no more.
//!
//! The lock is an advisory one on a connection of its own, so it is free at once when the process dies. A process that
//! was stopped does not die: the holder gives a sign of life every few seconds, and the server ends a connection from
//! which none came for [`SILENCE_S`], and the lock with it. Whoever lost the lock in either way is fenced off by the
//! token, which each writing transaction checks.

use crate::{Store, StoreError, Tx};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// A holder that says nothing for so long has lost its lease.
const SILENCE_S: u64 = 20;
/// Between two signs of life: several may come late.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// What a holder shows when it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    name: Arc<str>,
    number: i64,
}

impl LeaseToken {
    /// Name of the lease.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fencing number: greater than that of every earlier holder.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Fails unless the lease is still ours; the next holder waits until this transaction has ended.
    pub(crate) async fn verify(&self, tx: &Tx) -> Result<(), StoreError> {
        let sql = "select token from leases where name = $1 for share";
        let current: Option<i64> =
            tx.row_opt(sql, &[&self.name()]).await?.map(|row| row.try_get("token")).transpose()?;
        if current == Some(self.number) {
            Ok(())
        } else {
            Err(StoreError::LeaseLost { name: self.name().to_owned(), token: self.number })
        }
    }
}

/// A held lease. Dropping it frees it.
#[derive(Debug)]
pub struct Lease {
    token: LeaseToken,
    // Before the client: its task has a share in it.
    keeper: Ended,
    client: Arc<tokio_postgres::Client>,
    connection: JoinHandle<()>,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives signs of life until the connection ends.
async fn keep_alive(client: Arc<tokio_postgres::Client>) {
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        if client.batch_execute("select 1").await.is_err() {
            return;
        }
    }
}

impl Lease {
    /// What to show when writing.
    #[must_use]
    pub fn token(&self) -> LeaseToken {
        self.token.clone()
    }

    /// Whether the connection that holds it still stands, as far as is known without asking.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.client.is_closed()
    }

    /// Asks the server whether the lease is still ours.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it is not.
    pub async fn check(&self) -> Result<(), StoreError> {
        let row = self.client.query_opt("select token from leases where name = $1", &[&self.token.name()]).await;
        match row {
            Ok(Some(row)) if row.try_get::<_, i64>("token").is_ok_and(|token| token == self.token.number) => Ok(()),
            _ => Err(StoreError::LeaseLost { name: self.token.name().to_owned(), token: self.token.number }),
        }
    }

    /// Frees it and waits until it is free.
    pub async fn release(self) {
        let Self { token, mut keeper, client, connection } = self;
        let key = lock_key(token.name());
        // If this fails the connection is gone, and the lock with it.
        let _ = client.execute("select pg_advisory_unlock($1)", &[&key]).await;
        keeper.0.abort();
        let _ = (&mut keeper.0).await;
        drop(client);
        let _ = connection.await;
    }
}

impl Store {
    /// Takes the lease, or `None` while another process (or another lease of this one) holds it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn try_acquire_lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let application = format!("sg-ai lease {name}");
        let mut options = self.inner.options.for_session(&application, self.inner.statement_timeout_s);
        let given = options.get_options().unwrap_or_default().to_owned();
        options.options(format!("{given} -c idle_session_timeout={SILENCE_S}s"));
        let (client, connection) = options.connect(self.inner.options.tls.clone()).await?;
        // The driver's error is seen by the next use of the client.
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let sql = "select pg_try_advisory_lock($1) as is_locked";
        let locked: bool = client.query_one(sql, &[&lock_key(name)]).await?.try_get("is_locked")?;
        if !locked {
            return Ok(None);
        }
        let sql = "insert into leases as l (name, token, holder) values ($1, 1, $2)
            on conflict (name) do update set token = l.token + 1, holder = excluded.holder, acquired_at = now()
            returning token";
        let number: i64 = client.query_one(sql, &[&name, &holder()]).await?.try_get("token")?;
        let client = Arc::new(client);
        let keeper = Ended(tokio::spawn(keep_alive(Arc::clone(&client))));
        Ok(Some(Lease { token: LeaseToken { name: name.into(), number }, keeper, client, connection }))
    }
}

/// Who we are, for people who look into the table.
pub(crate) fn holder() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{} process {}", host.as_deref().unwrap_or("unknown host"), std::process::id())
}

/// The advisory lock of a name: 64 bits of its hash.
fn lock_key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("sg-ai lease {name}"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(bytes)
}
