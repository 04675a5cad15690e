//! A JSON value as it is stored, with what this program reads in it. Replaces nothing that does not read: whoever needs
//! the value is told which row it is in and what is wrong with it, and all others go on.

use super::StoreError;
use genome::AnyStrategy;
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

/// A JSON value as it is stored, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T> {
    json: Value,
    read: Result<T, StoreError>,
}

impl<T: DeserializeOwned> Stored<T> {
    /// The value called `what` of a row.
    pub(super) fn new(json: Value, what: &str, row: impl ToString) -> Self {
        let read = T::deserialize(&json).map_err(|why| StoreError::unreadable(what, row, &why));
        Self { json, read }
    }

    /// The same, where what it says must be what it is known by: `wrong` tells what is not, if anything.
    pub(super) fn checked(self, what: &str, row: impl ToString, wrong: impl FnOnce(&T) -> Option<String>) -> Self {
        let read = self.read.and_then(|value| match wrong(&value) {
            None => Ok(value),
            Some(why) => Err(StoreError::unreadable(what, row, &why)),
        });
        Self { json: self.json, read }
    }
}

impl<T> Stored<T> {
    /// What it says.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when this program cannot read it.
    pub fn read(&self) -> Result<&T, StoreError> {
        self.read.as_ref().map_err(Clone::clone)
    }

    /// What it says, by itself.
    ///
    /// # Errors
    /// As [`Stored::read`].
    pub fn into_read(self) -> Result<T, StoreError> {
        self.read
    }

    /// As it is stored.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.json
    }
}

/// As it is stored, whether it reads or not.
impl<T> Serialize for Stored<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// A stored genome that is known by this hash, and has this canonical text where one is stored with it. Whoever can write
/// the table can replace it: results, lineage and the audit trail mean the one of the hash.
pub(super) fn known_genome(
    json: Value,
    hash: Option<&str>,
    text: Option<&str>,
    row: impl std::fmt::Display,
) -> Stored<AnyStrategy> {
    Stored::new(json, "genome", &row).checked("genome", &row, |found: &AnyStrategy| {
        if hash.is_some_and(|hash| found.hash().to_string() != hash) {
            Some("it was replaced: its hash is not the one by which it is known".to_owned())
        } else if text.is_some_and(|text| found.to_string() != text) {
            Some("its text was replaced: it is not that of the rules".to_owned())
        } else {
            None
        }
    })
}

/// A value as it is to be stored.
pub(super) fn to_json(value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_read_is_named_and_kept() {
        let good = Stored::<Vec<u8>>::new(json!([1, 2]), "numbers", "row 1");
        assert_eq!((good.read().unwrap(), good.json()), (&vec![1, 2], &json!([1, 2])));
        assert_eq!(good.into_read().unwrap(), [1, 2]);
        let bad = Stored::<Vec<u8>>::new(json!([1, "x"]), "numbers", "row 2");
        let error = bad.read().unwrap_err().to_string();
        assert!(error.starts_with("the stored numbers of row 2 does not read: invalid type: string \"x\""), "{error}");
        assert_eq!(serde_json::to_string(&bad).unwrap(), r#"[1,"x"]"#);
    }
}
