//! What a replay of a search session is held against. Reads only.

use super::{GenerationRow, Session, Store, StoreError, overview, sessions};
use uuid::Uuid;

impl Store {
    /// The session with this id, or of this `ISLAND/NUMBER`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn session(&self, selector: &str) -> Result<Session, StoreError> {
        let id = Uuid::parse_str(selector).ok();
        let by_number =
            selector.rsplit_once('/').and_then(|(island, number)| Some((island, number.parse::<i64>().ok()?)));
        let (island, number) = by_number.unzip();
        self.transaction("session", |tx| async move {
            let sql = format!(
                "select {} from search_sessions e where e.id = $1 or (e.island = $2 and e.number = $3)",
                sessions::COLUMNS
            );
            let row = tx.row_opt(&sql, &[&id, &island, &number]).await?;
            sessions::read(&row.ok_or_else(|| StoreError::not_found("session", selector))?)
        })
        .await
    }

    /// The newest session of an island that had finished when its session `number` began.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_before(&self, island: &str, number: u64) -> Result<Option<Session>, StoreError> {
        let number = super::count(number);
        self.transaction("session_before", |tx| async move {
            let sql = format!(
                "select {} from search_sessions e where e.island = $1 and e.number < $2 and e.status = 'finished'
                 order by e.number desc limit 1",
                sessions::COLUMNS
            );
            tx.row_opt(&sql, &[&island, &number]).await?.as_ref().map(sessions::read).transpose()
        })
        .await
    }

    /// The generations of a session, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn generations_of(&self, session_id: Uuid) -> Result<Vec<GenerationRow>, StoreError> {
        self.transaction("generations_of", |tx| async move {
            let sql = format!(
                "select {} from generations g join search_sessions e on e.id = g.session_id
                 where g.session_id = $1 order by g.number",
                overview::GENERATION
            );
            tx.rows(&sql, &[&session_id]).await?.iter().map(overview::read_generation).collect()
        })
        .await
    }
}
