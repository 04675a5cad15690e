//! Columns of a row, read by their names. Never by position: a list of columns may change its order.

use super::{StoreError, uncount};
use genome::random::Seed;
use serde::de::DeserializeOwned;
use std::{error::Error as _, str::FromStr};
use tokio_postgres::{
    Row,
    types::{Json, Type},
};

/// What reading a row needs beside `try_get`.
pub(super) trait Named {
    /// A value that is stored by its name.
    fn parse<T: FromStr<Err = String>>(&self, column: &str) -> Result<T, StoreError>;
    /// The same, where there is one.
    fn parse_opt<T: FromStr<Err = String>>(&self, column: &str) -> Result<Option<T>, StoreError>;
    /// A count.
    fn count(&self, column: &str) -> Result<u64, StoreError>;
    /// A count, where there is one.
    fn count_opt(&self, column: &str) -> Result<Option<u64>, StoreError>;
    /// A count that fits `integer`.
    fn small(&self, column: &str) -> Result<u32, StoreError>;
    /// The root of random streams.
    fn seed(&self, column: &str) -> Result<Seed, StoreError>;
    /// What is stored as JSON.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError>;
    /// The same, where there is any.
    fn json_opt<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError>;
}

impl Named for Row {
    fn parse<T: FromStr<Err = String>>(&self, column: &str) -> Result<T, StoreError> {
        self.try_get::<_, &str>(column)?.parse().map_err(StoreError::decode)
    }

    fn parse_opt<T: FromStr<Err = String>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.try_get::<_, Option<&str>>(column)?.map(str::parse).transpose().map_err(StoreError::decode)
    }

    fn count(&self, column: &str) -> Result<u64, StoreError> {
        Ok(uncount(self.try_get(column)?))
    }

    fn count_opt(&self, column: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.try_get::<_, Option<i64>>(column)?.map(uncount))
    }

    fn small(&self, column: &str) -> Result<u32, StoreError> {
        Ok(u32::try_from(self.try_get::<_, i32>(column)?).unwrap_or_default())
    }

    fn seed(&self, column: &str) -> Result<Seed, StoreError> {
        let number = self.try_get::<_, &str>(column)?.parse();
        Ok(Seed(number.map_err(|_| StoreError::decode("a seed that is no number"))?))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        match self.try_get::<_, Json<T>>(column) {
            Ok(json) => Ok(json.0),
            Err(error) => Err(unreadable(self, column, error)),
        }
    }

    fn json_opt<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        match self.try_get::<_, Option<Json<T>>>(column) {
            Ok(json) => Ok(json.map(|json| json.0)),
            Err(error) => Err(unreadable(self, column, error)),
        }
    }
}

/// Why a column does not read, with the name of its row where it is the JSON that is wrong.
fn unreadable(row: &Row, column: &str, error: tokio_postgres::Error) -> StoreError {
    match error.source().and_then(|source| source.downcast_ref::<serde_json::Error>()) {
        Some(why) => StoreError::unreadable(column, which(row), why),
        None => error.into(),
    }
}

/// The row by those of its columns that are ids.
fn which(row: &Row) -> String {
    let ids = row.columns().iter().filter(|column| column.name() == "id" || column.name().ends_with("_id"));
    let named = ids.filter_map(|column| {
        let name = column.name();
        let id = match *column.type_() {
            Type::UUID => row.try_get::<_, uuid::Uuid>(name).ok()?.to_string(),
            Type::INT8 => row.try_get::<_, i64>(name).ok()?.to_string(),
            Type::INT4 => row.try_get::<_, i32>(name).ok()?.to_string(),
            _ => return None,
        };
        Some(format!("{name} {id}"))
    });
    format!("the row with {}", named.collect::<Vec<_>>().join(", "))
}
