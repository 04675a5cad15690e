//! The one way to speak to the database: named, short transactions. Never holds one open across computation.

use super::{Store, StoreError, seal::Keyring};
use bytes::Bytes;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_postgres::{
    CopyInSink, Row, RowStream,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

/// How often a transaction is tried before its error is handed back.
const MAX_ATTEMPTS: u32 = 5;

/// What watches transactions: name, duration, whether it was committed.
pub type TransactionObserver = dyn Fn(&'static str, Duration, bool) + Send + Sync;

/// An open transaction: a connection between `begin` and `commit`. Statements are prepared once a connection.
///
/// Dropped while open (an error, a cancelled task) it closes the connection, and the server rolls back.
pub struct Tx {
    /// `None` only while being dropped.
    client: Option<deadpool_postgres::Object>,
    open: AtomicBool,
    keys: Arc<Keyring>,
}

/// Parameters of a statement.
pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

impl Tx {
    fn client(&self) -> &deadpool_postgres::Object {
        self.client.as_ref().expect("only dropping takes the client away")
    }

    async fn begin(store: &Store) -> Result<Arc<Self>, StoreError> {
        let client = store.inner.pool.get().await?;
        let tx = Self { client: Some(client), open: AtomicBool::new(true), keys: Arc::clone(&store.inner.keys) };
        tx.client().batch_execute("begin").await?;
        Ok(Arc::new(tx))
    }

    async fn end(&self, command: &str) -> Result<(), StoreError> {
        self.client().batch_execute(command).await?;
        self.open.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// All rows.
    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        Ok(self.client().query(&statement, params).await?)
    }

    /// Exactly one row.
    pub(super) async fn row(&self, sql: &str, params: Params<'_>) -> Result<Row, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        Ok(self.client().query_one(&statement, params).await?)
    }

    /// One row or none.
    pub(super) async fn row_opt(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        Ok(self.client().query_opt(&statement, params).await?)
    }

    /// Runs it; the number of rows it touched.
    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        Ok(self.client().execute(&statement, params).await?)
    }

    /// The keys of sealed genomes.
    pub(super) fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Rows one after the other, without holding all of them.
    pub(super) async fn stream(&self, sql: &str, params: Params<'_>) -> Result<RowStream, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        Ok(self.client().query_raw(&statement, params.iter().copied()).await?)
    }

    /// Begins a `copy ... from stdin` in text form.
    pub(super) async fn copy_text_in(&self, sql: &str) -> Result<CopyInSink<Bytes>, StoreError> {
        Ok(self.client().copy_in(sql).await?)
    }

    /// Begins a `copy ... from stdin binary`; rows of these types are written to what is returned, then it is finished.
    pub(super) async fn copy_in(&self, sql: &str, types: &[Type]) -> Result<Pin<Box<BinaryCopyInWriter>>, StoreError> {
        let statement = self.client().prepare_cached(sql).await?;
        let sink = self.client().copy_in(&statement).await?;
        Ok(Box::pin(BinaryCopyInWriter::new(sink, types)))
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if *self.open.get_mut()
            && let Some(client) = self.client.take()
        {
            drop(deadpool_postgres::Object::take(client));
        }
    }
}

impl Store {
    /// Runs `work` in one transaction called `name`.
    ///
    /// It is run again after a deadlock, a serialization failure or a connection that broke, also when
    /// the connection broke during commit and nobody knows whether it took: `work` must therefore be
    /// safe to run twice, as every function of the store is. No computation and no network call in it.
    ///
    /// # Errors
    /// Those of `work`, or [`StoreError::Unreachable`] and [`StoreError::Timeout`] of the database itself.
    pub async fn transaction<T, F>(
        &self,
        name: &'static str,
        work: impl Fn(Arc<Tx>) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut pause = Duration::from_millis(20);
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            let result = self.attempt(&work).await;
            if let Some(observer) = &self.inner.observer {
                observer(name, started.elapsed(), result.is_ok());
            }
            self.inner.room.note(name, result.as_ref().err());
            match result {
                Err(error) if attempt < MAX_ATTEMPTS && error.is_worth_another_try() => {
                    tokio::time::sleep(pause).await;
                    pause *= 3;
                    attempt += 1;
                }
                result => return result.map_err(|error| error.named(name)),
            }
        }
    }

    /// Runs `work` in one transaction, once, whatever becomes of it: for what must not be done twice.
    pub(super) async fn once<T, F>(
        &self,
        name: &'static str,
        work: impl Fn(Arc<Tx>) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let result = self.attempt(&work).await;
        self.inner.room.note(name, result.as_ref().err());
        result.map_err(|error| error.named(name))
    }

    async fn attempt<T, F>(&self, work: &(impl Fn(Arc<Tx>) -> F + Send + Sync)) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let tx = Tx::begin(self).await?;
        match work(Arc::clone(&tx)).await {
            Ok(value) => {
                tx.end("commit").await?;
                Ok(value)
            }
            Err(error) => {
                // Keeps the connection for others; where this fails the connection is dropped instead.
                let _ = tx.end("rollback").await;
                Err(error)
            }
        }
    }
}
