//! Strategies, their lineage and their paper trades: what is known of each.
//!
//! A strategy's state changes only through a transition; its genome never.

use crate::{
    Deployment, PaperRun, SERVICE_KIND, Store, StoreError, Stored, TransitionRow, Tx, audit, paper,
    paper::deployments,
    row::Named as _,
    seal,
    stored::{known_genome, to_json},
    strategies::{StatRow, naming, seen, stats, transitions},
};
use candles::{MarketKind, Symbol};
use chrono::{DateTime, Utc};
use engine::Trade;
use genome::{AnyStrategy, StrategyForm, Timeframe};
use lifecycle::{DisableReason, State, VersionStep};
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

/// A strategy to store, as a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStrategy {
    /// UUID v7, made by the caller.
    pub id: Uuid,
    /// For people. No two strategies that are not disabled have one name.
    pub name: String,
    /// Whether somebody chose the name: one that is taken is refused then. Otherwise it is stored under a name with a
    /// number (`name-2`).
    pub name_is_chosen: bool,
    /// What it is.
    pub genome: AnyStrategy,
    /// Canonical text.
    pub canonical: String,
    /// SHA-256 of the canonical form, hex: the identity.
    pub genome_hash: String,
    /// `evolved`, `manual`, ...
    pub kind: String,
    /// How far it is from its parents: its version rises by that from those that are stored.
    pub step: VersionStep,
    /// Hashes of the parents; the store finds the ids of those that are stored.
    pub parent_hashes: Vec<String>,
    /// Generation of the search that made it; 0 for none.
    pub generation: u32,
    /// Island of the search.
    pub island: Option<String>,
    /// Session of the search.
    pub session_id: Option<Uuid>,
    /// What it trades; none for one that ranks the market.
    pub symbols: Vec<Symbol>,
    /// Where.
    pub market: MarketKind,
    /// Base timeframe.
    pub timeframe: Timeframe,
    /// End of the candles that may have shaped it, UTC ms.
    pub seen_until_ms: Option<i64>,
    /// Whether whoever stores it stated that; otherwise a search knows it, or it is the moment of storing.
    pub seen_is_stated: bool,
    /// `search`, `operator`, ...
    pub created_by: String,
}

/// A stored strategy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Strategy {
    pub id: Uuid,
    /// A number that clients hold on to.
    pub number: i64,
    pub name: String,
    /// `rules`, or `ranking` for one that ranks the market.
    pub form: StrategyForm,
    pub genome: Stored<AnyStrategy>,
    pub canonical: String,
    pub genome_hash: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub version: String,
    /// Parents that are stored.
    pub parent_ids: Vec<Uuid>,
    /// All parents.
    pub parent_hashes: Vec<String>,
    pub generation: u32,
    pub island: Option<String>,
    pub session_id: Option<Uuid>,
    pub symbols: Vec<Symbol>,
    pub market: MarketKind,
    pub timeframe: Timeframe,
    pub seen_until_ms: Option<i64>,
    pub state: State,
    pub disable_reason: Option<DisableReason>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub state_changed_at: DateTime<Utc>,
    /// Kind of idea, as [`genome::Niche`] names it; `None` for what was stored before families were.
    pub family: Option<String>,
}

/// Columns of a [`Strategy`], of the table called `s`.
pub(crate) const COLUMNS: &str = "s.id, s.name, s.genome, s.canonical, s.genome_hash, s.type, s.version, s.parent_ids, \
     s.parent_hashes, s.generation, s.island, s.session_id, s.symbols, s.market, s.timeframe, s.seen_until_ms, s.state, \
     s.disable_reason, s.created_by, s.created_at, s.state_changed_at, s.number, s.family, s.form";

pub(crate) fn read(tx: &Tx, row: &Row) -> Result<Strategy, StoreError> {
    let (keys, genome_hash): (_, String) = (tx.keys(), row.try_get("genome_hash")?);
    let id: Uuid = row.try_get("id")?;
    let genome = keys.open_json(row.try_get("genome")?, &seal::genome_of(&genome_hash))?;
    let canonical = keys.open_text(row.try_get("canonical")?, &seal::text_of(&genome_hash))?;
    let form = row.parse("form")?;
    let genome = known_genome(genome, Some(&genome_hash), Some(&canonical), format_args!("strategy {id}"));
    let other =
        |found: &AnyStrategy| (found.form() != form).then(|| format!("it is one of {}, not of {form}", found.form()));
    let genome = genome.checked("genome", format_args!("strategy {id}"), other);
    Ok(Strategy {
        id,
        name: row.try_get("name")?,
        genome,
        canonical,
        genome_hash,
        kind: row.try_get("type")?,
        version: row.try_get("version")?,
        parent_ids: row.try_get("parent_ids")?,
        parent_hashes: row.try_get("parent_hashes")?,
        generation: row.small("generation")?,
        island: row.try_get("island")?,
        session_id: row.try_get("session_id")?,
        symbols: symbols(row.try_get("symbols")?)?,
        market: row.parse("market")?,
        timeframe: row.parse("timeframe")?,
        seen_until_ms: row.try_get("seen_until_ms")?,
        state: row.parse("state")?,
        disable_reason: row.try_get::<_, Option<&str>>("disable_reason")?.map(reason).transpose()?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        state_changed_at: row.try_get("state_changed_at")?,
        number: row.try_get("number")?,
        family: row.try_get("family")?,
        form,
    })
}

impl Strategy {
    /// Its rules.
    ///
    /// # Errors
    /// [`StoreError::RanksMarket`] where it ranks the market; [`StoreError::Unreadable`] where its genome does not read.
    pub fn rules(&self) -> Result<&genome::Strategy, StoreError> {
        self.genome.read()?.rules().ok_or_else(|| StoreError::RanksMarket { strategy: self.name.clone() })
    }
}

pub(crate) fn symbols(names: Vec<String>) -> Result<Vec<Symbol>, StoreError> {
    names.into_iter().map(Symbol::try_from).collect::<Result<_, _>>().map_err(StoreError::decode)
}

pub(crate) fn reason(text: &str) -> Result<DisableReason, StoreError> {
    DisableReason::ALL
        .into_iter()
        .find(|reason| reason.name() == text)
        .ok_or_else(|| StoreError::decode(format!("unknown disable reason {text:?}")))
}

/// Which strategies to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrategyFilter {
    /// In one of these states; any when empty.
    pub states: Vec<State>,
    /// Of this island.
    pub island: Option<String>,
    /// Of this session.
    pub session_id: Option<Uuid>,
    /// Not those that clients posted.
    pub but_clients: bool,
    /// Of this form.
    pub form: Option<StrategyForm>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Page {
    pub limit: u32,
    pub offset: u64,
}

impl Page {
    /// The first `limit` rows.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { limit, offset: 0 }
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.limit)
    }

    pub(crate) fn offset(self) -> i64 {
        crate::count(self.offset)
    }
}

/// Everything stored about one strategy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct StrategyDetail {
    pub strategy: Strategy,
    pub stats: Vec<StatRow>,
    /// Oldest first.
    pub transitions: Vec<TransitionRow>,
    /// Oldest first.
    pub deployments: Vec<Deployment>,
    /// Oldest first.
    pub paper_runs: Vec<PaperRun>,
    /// Why nothing is proved of it on candles that it has not seen, in words; `None` where something is, or where nobody
    /// asks any more.
    pub no_holdout: Option<String>,
}

/// A closed paper trade.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct TradeRow {
    pub run_id: Uuid,
    pub trade: Trade,
}

/// Stores a strategy as a candidate, with its audit entry: the name that it has now; `None` when its genome is stored
/// already. A conflict where it was stored with another statement of what it has seen.
pub(crate) async fn insert(
    tx: &Tx,
    key: &audit::ChainKey,
    strategy: &NewStrategy,
) -> Result<Option<String>, StoreError> {
    let stored = "select 1 from strategies where genome_hash = $1";
    if tx.row_opt(stored, &[&strategy.genome_hash]).await?.is_some() {
        seen::refuse_another(tx, strategy).await?;
        return Ok(None);
    }
    let name = naming::free_name(tx, strategy).await?;
    let version = naming::version(tx, strategy).await?;
    let symbols: Vec<&str> = strategy.symbols.iter().map(Symbol::as_str).collect();
    let generation = i32::try_from(strategy.generation).unwrap_or(i32::MAX);
    let (market, timeframe) = (strategy.market.to_string(), strategy.timeframe.to_string());
    let sql = "insert into strategies (id, name, genome, canonical, genome_hash, type, version, parent_hashes,
            parent_ids, generation, island, session_id, symbols, market, timeframe, seen_until_ms, created_by, family, form)
        values ($1, $2, $3, $4, $5, $6, $7, $8,
            (select coalesce(array_agg(p.id order by array_position($8, p.genome_hash)), '{}')
             from strategies p where p.genome_hash = any($8)),
            $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        on conflict (genome_hash) do nothing";
    let hash = &strategy.genome_hash;
    let genome = tx.keys().seal_json(&to_json(&strategy.genome)?, &seal::genome_of(hash))?;
    let canonical = tx.keys().seal_text(&strategy.canonical, &seal::text_of(hash))?;
    let form = strategy.genome.form().name();
    // Whoever ranks the market is a family by itself.
    let family = strategy.genome.rules().map_or_else(|| form.to_owned(), |s| genome::Niche::of(s).family.to_string());
    let inserted = tx
        .execute(
            sql,
            &[
                &strategy.id,
                &name,
                &genome,
                &canonical,
                hash,
                &strategy.kind,
                &version,
                &strategy.parent_hashes,
                &generation,
                &strategy.island,
                &strategy.session_id,
                &symbols,
                &market,
                &timeframe,
                &strategy.seen_until_ms,
                &strategy.created_by,
                &family,
                &form,
            ],
        )
        .await?;
    if inserted == 0 {
        // Another transaction stored it at the same moment.
        seen::refuse_another(tx, strategy).await?;
        return Ok(None);
    }
    let entry = audit::AuditEntry {
        event: "strategy_created",
        entity_type: "strategy",
        entity_id: &strategy.id.to_string(),
        actor: &strategy.created_by,
        before: None,
        after: Some(json!({
            "state": State::Candidate, "genome_hash": strategy.genome_hash, "form": form,
            "seen_until_ms": strategy.seen_until_ms,
        })),
        metadata: json!({
            "name": name, "version": version, "session_id": strategy.session_id,
            "seen_until_stated": strategy.seen_is_stated,
        }),
        correlation_id: strategy.session_id,
    };
    audit::append(tx, key, &entry).await?;
    Ok(Some(name))
}

impl Store {
    /// Stores a strategy that no search made, as a candidate: the name that it has now; `None` when its genome is stored
    /// already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is stored with another statement of what it has seen, [`StoreError::NameTaken`] when
    /// somebody chose a name that is taken; when the database does not answer or refuses the row.
    pub async fn add_strategy(&self, strategy: &NewStrategy) -> Result<Option<String>, StoreError> {
        self.transaction("add_strategy", |tx| async move { insert(&tx, &self.inner.audit_key, strategy).await }).await
    }

    /// The strategy with this id, number, name, or unique prefix (4 characters or more) of id or genome hash.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Ambiguous`] when several fit.
    pub async fn find_strategy(&self, selector: &str) -> Result<Strategy, StoreError> {
        self.transaction("find_strategy", |tx| async move { find(&tx, selector).await }).await
    }

    /// Everything about the strategy that [`Store::find_strategy`] finds.
    ///
    /// # Errors
    /// As [`Store::find_strategy`].
    pub async fn strategy(&self, selector: &str) -> Result<StrategyDetail, StoreError> {
        self.transaction("strategy", |tx| async move {
            let tx = &tx;
            let strategy = find(tx, selector).await?;
            let id = strategy.id;
            let stats = stats::of_strategy(tx, id).await?;
            Ok(StrategyDetail {
                no_holdout: seen::no_holdout(tx, &strategy).await?,
                strategy,
                stats,
                transitions: transitions::of_strategy(tx, id).await?,
                deployments: deployments::of_strategy(tx, id).await?,
                paper_runs: paper::of_strategy(tx, id).await?,
            })
        })
        .await
    }

    /// Strategies, those whose state changed last first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strategies(&self, filter: &StrategyFilter, page: Page) -> Result<Vec<Strategy>, StoreError> {
        let states = &filter.states.iter().map(|state| state.name()).collect::<Vec<_>>();
        self.transaction("strategies", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from strategies s
             where (cardinality($1::text[]) = 0 or s.state = any($1)) and ($2::text is null or s.island = $2)
                 and ($3::uuid is null or s.session_id = $3) and not ($6 and s.type = 'service')
                 and ($7::text is null or s.form = $7)
             order by s.state_changed_at desc, s.id desc limit $4 offset $5"
            );
            let (limit, offset, form) = (page.limit(), page.offset(), filter.form.map(StrategyForm::name));
            let params: crate::transaction::Params<'_> =
                &[states, &filter.island, &filter.session_id, &limit, &offset, &filter.but_clients, &form];
            tx.rows(&sql, params).await?.iter().map(|row| read(tx, row)).collect()
        })
        .await
    }

    /// Which of these genomes are stored already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known_hashes(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        self.transaction("known_hashes", |tx| async move {
            let tx = &tx;
            let sql = "select genome_hash from strategies where genome_hash = any($1) order by genome_hash";
            tx.rows(sql, &[&hashes]).await?.iter().map(|row| Ok(row.try_get("genome_hash")?)).collect()
        })
        .await
    }
}

async fn find(tx: &Tx, selector: &str) -> Result<Strategy, StoreError> {
    let exact = format!("select {COLUMNS} from strategies s where s.id = $1");
    if let Ok(id) = Uuid::parse_str(selector)
        && let Some(row) = tx.row_opt(&exact, &[&id]).await?
    {
        return read(tx, &row);
    }
    if let Ok(number) = selector.parse::<i64>() {
        let sql = format!("select {COLUMNS} from strategies s where s.number = $1");
        if let Some(row) = tx.row_opt(&sql, &[&number]).await? {
            return read(tx, &row);
        }
    }
    let is_prefix = selector.len() >= 4 && selector.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    // Only hexadecimal digits and hyphens get here: nothing that LIKE would take for a wildcard.
    let pattern = is_prefix.then(|| format!("{}%", selector.to_ascii_lowercase()));
    let sql = format!(
        "select {COLUMNS} from strategies s where s.name = $1 or s.id::text like $2 or s.genome_hash like $2
        order by s.type = 'service', s.state = 'disabled' limit 2"
    );
    // A client may give a strategy the name of another's: it does not keep that one from being found. Nor does one that is
    // disabled keep the one from being found that has its name now.
    let rank = |row: &Row| {
        let is_clients = row.try_get::<_, &str>("type")? == SERVICE_KIND;
        Ok::<_, StoreError>((is_clients, row.parse::<State>("state")? == State::Disabled))
    };
    match tx.rows(&sql, &[&selector, &pattern]).await?.as_slice() {
        [] => Err(StoreError::not_found("strategy", selector)),
        [row] => read(tx, row),
        [first, second] if rank(first)? < rank(second)? => read(tx, first),
        _ => Err(StoreError::Ambiguous { what: "strategy", id: selector.to_owned() }),
    }
}
