//! The schema, embedded. A landed migration is never edited; the next one changes it.

use super::{Store, StoreError, error::error_chain};
use refinery::{Migration, Runner};

/// Every file of `migrations/`, in order. A test compares this list with the folder.
const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__search", include_str!("../../migrations/V1__search.sql")),
    ("V2__strategies", include_str!("../../migrations/V2__strategies.sql")),
    ("V3__lifecycle", include_str!("../../migrations/V3__lifecycle.sql")),
    ("V4__audit", include_str!("../../migrations/V4__audit.sql")),
    ("V5__operations", include_str!("../../migrations/V5__operations.sql")),
    ("V6__protocol", include_str!("../../migrations/V6__protocol.sql")),
    ("V10__data_verdicts", include_str!("../../migrations/V10__data_verdicts.sql")),
    ("V11__data_revisions", include_str!("../../migrations/V11__data_revisions.sql")),
    ("V13__runs", include_str!("../../migrations/V13__runs.sql")),
    ("V14__deployments", include_str!("../../migrations/V14__deployments.sql")),
    ("V15__rights", include_str!("../../migrations/V15__rights.sql")),
    ("V16__retention", include_str!("../../migrations/V16__retention.sql")),
    ("V17__reads", include_str!("../../migrations/V17__reads.sql")),
    ("V18__daily_reviews", include_str!("../../migrations/V18__daily_reviews.sql")),
    ("V22__service", include_str!("../../migrations/V22__service.sql")),
    ("V23__operators", include_str!("../../migrations/V23__operators.sql")),
    ("V24__phases", include_str!("../../migrations/V24__phases.sql")),
    ("V26__guards", include_str!("../../migrations/V26__guards.sql")),
    ("V27__engine_meaning", include_str!("../../migrations/V27__engine_meaning.sql")),
    ("V28__client_retention", include_str!("../../migrations/V28__client_retention.sql")),
    ("V29__ranking", include_str!("../../migrations/V29__ranking.sql")),
    ("V31__seen_until", include_str!("../../migrations/V31__seen_until.sql")),
    ("V33__tests", include_str!("../../migrations/V33__tests.sql")),
    ("V34__media", include_str!("../../migrations/V34__media.sql")),
    ("V35__optimizations", include_str!("../../migrations/V35__optimizations.sql")),
    ("V37__learner", include_str!("../../migrations/V37__learner.sql")),
    ("V38__names", include_str!("../../migrations/V38__names.sql")),
    ("V39__drift_percent", include_str!("../../migrations/V39__drift_percent.sql")),
    ("V40__performance_by_month", include_str!("../../migrations/V40__performance_by_month.sql")),
    ("V41__regimes_by_year", include_str!("../../migrations/V41__regimes_by_year.sql")),
    ("V42__regime_changes", include_str!("../../migrations/V42__regime_changes.sql")),
    ("V43__ranking_followed", include_str!("../../migrations/V43__ranking_followed.sql")),
    ("V44__forms", include_str!("../../migrations/V44__forms.sql")),
    ("V45__how_close", include_str!("../../migrations/V45__how_close.sql")),
    ("V46__books", include_str!("../../migrations/V46__books.sql")),
    ("V47__search_scores", include_str!("../../migrations/V47__search_scores.sql")),
    ("V48__book_watch", include_str!("../../migrations/V48__book_watch.sql")),
    ("V49__work", include_str!("../../migrations/V49__work.sql")),
    ("V50__null_statistics", include_str!("../../migrations/V50__null_statistics.sql")),
    ("V51__work_kinds", include_str!("../../migrations/V51__work_kinds.sql")),
    ("V53__model_watch", include_str!("../../migrations/V53__model_watch.sql")),
];

/// The newest schema version that this program knows.
pub const SCHEMA_VERSION: i64 = version(MIGRATIONS[MIGRATIONS.len() - 1].0);

/// The number in `V22__service`. There are gaps between numbers: each part of the program has a range.
const fn version(name: &str) -> i64 {
    let (bytes, mut at, mut found) = (name.as_bytes(), 1, 0);
    while bytes[at].is_ascii_digit() {
        found = 10 * found + (bytes[at] - b'0') as i64;
        at += 1;
    }
    found
}

/// Session-level advisory lock of whoever migrates: "sg-ai mig" as bytes.
const MIGRATION_LOCK: i64 = 0x73672d6169206d69;

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MigrationReport {
    /// Version before; 0 for an empty database.
    pub from: i64,
    /// Version now.
    pub to: i64,
}

impl Store {
    /// Brings the schema up to date. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] when a newer program was here, [`StoreError::Migration`] when a step
    /// fails or a landed one differs from ours.
    pub async fn migrate(&self) -> Result<MigrationReport, StoreError> {
        // A connection of its own: it is closed at the end, and the lock with it, whatever happens.
        let mut options = self.inner.options.for_session("sg-ai migrate", 0);
        // Whoever was stopped in the middle does not keep all others waiting for ever.
        let given = options.get_options().unwrap_or_default().to_owned();
        options.options(format!("{given} -c idle_session_timeout=60s"));
        let (mut client, connection) = options.connect(self.inner.options.tls.clone()).await?;
        let connection = tokio::spawn(connection);
        let result = migrate(&mut client).await;
        drop(client);
        // The server frees the lock when it sees the end; waiting keeps the order of events plain.
        let _ = connection.await;
        result
    }

    /// Those of our roles that the server does not have: whoever migrated may not make roles.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn missing_roles(&self) -> Result<Vec<String>, StoreError> {
        self.transaction("missing_roles", |tx| async move {
            let sql = "select name from unnest(array['sg_ai_writer', 'sg_ai_reader', 'sg_ai_auditor']) name
                where not exists (select from pg_roles where rolname = name)";
            tx.rows(sql, &[]).await?.iter().map(|row| Ok(row.try_get("name")?)).collect()
        })
        .await
    }

    /// Version of the schema; 0 for an empty database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let client = self.inner.pool.get().await?;
        found_version(&client).await
    }
}

async fn migrate(client: &mut tokio_postgres::Client) -> Result<MigrationReport, StoreError> {
    // Waiting for another migrator takes as long as it takes.
    client.batch_execute("set lock_timeout = 0").await?;
    client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let from = found_version(client).await?;
    if from > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { found: from, known: SCHEMA_VERSION });
    }
    // Whoever merely writes finds the schema as it must be, or learns who has to change it.
    let sql = "select coalesce((select pg_has_role(current_user, relowner, 'usage') from pg_class
        where oid = to_regclass('strategies')), true) as is_ours";
    if !client.query_one(sql, &[]).await?.try_get::<_, bool>("is_ours")? {
        return if from == SCHEMA_VERSION {
            Ok(MigrationReport { from, to: from })
        } else {
            Err(StoreError::Migration(format!(
                "it has version {from}, not {SCHEMA_VERSION}, and is not this user's: run `sg-ai migrate` as its owner"
            )))
        };
    }
    let migrations = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StoreError::Migration(error_chain(&error)))?;
    Runner::new(&migrations).run_async(client).await.map_err(|error| StoreError::Migration(error_chain(&error)))?;
    client.execute("select ensure_audit_partition(now())", &[]).await?;
    client.execute("select grant_rights()", &[]).await?;
    Ok(MigrationReport { from, to: SCHEMA_VERSION })
}

async fn found_version(client: &tokio_postgres::Client) -> Result<i64, StoreError> {
    let sql = "select to_regclass('refinery_schema_history') is not null as is_there";
    let exists: bool = client.query_one(sql, &[]).await?.try_get("is_there")?;
    if !exists {
        return Ok(0);
    }
    let sql = "select coalesce(max(version), 0)::bigint as version from refinery_schema_history";
    Ok(client.query_one(sql, &[]).await?.try_get("version")?)
}
