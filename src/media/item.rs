//! A media item as it is posted: what was found in a video, when, and how sure. Checks it; computes nothing of it.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};
use thiserror::Error;

/// The greatest number of an item: that of Postgres's `integer`, which other systems keep it in.
pub const MAX_MEDIA_ITEM_ID: i32 = i32::MAX;

/// What an item may hold at most. A wrong one is an error, never cut.
pub struct Limits;

impl Limits {
    /// Keyword hits.
    pub const KEYWORD_HITS: usize = 10_000;
    /// Segments of transcripts.
    pub const TRANSCRIPTS: usize = 10_000;
    /// Embeddings.
    pub const EMBEDDINGS: usize = 10_000;
    /// Numbers in an embedding.
    pub const EMBEDDING_DIM: usize = 8_192;
    /// Characters of a keyword or a category.
    pub const NAME_CHARACTERS: usize = 200;
    /// Characters of a segment's text.
    pub const TEXT_CHARACTERS: usize = 20_000;
    /// The latest time, seconds from the beginning of the video: 115 days.
    pub const SECONDS: f64 = 1e7;
    /// The greatest absolute value in an embedding, so that no sum of squares overflows.
    pub const EMBEDDING_VALUE: f64 = 1e30;
}

/// What was found in a video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Words of the trade that were recognised, in any order.
    #[serde(default, deserialize_with = "objects")]
    pub keyword_hits: Vec<KeywordHit>,
    /// What was said, a segment each, in any order.
    #[serde(default, deserialize_with = "objects")]
    pub transcripts: Vec<Transcript>,
    /// Vectors of frames, sounds or sentences, all of one length.
    #[serde(default)]
    pub embeddings: Vec<Vec<f64>>,
}

/// An item with its number: a line of a file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedItem {
    /// The client's number.
    pub media_item_id: i64,
    /// As [`Item::keyword_hits`].
    #[serde(default, deserialize_with = "objects")]
    pub keyword_hits: Vec<KeywordHit>,
    /// As [`Item::transcripts`].
    #[serde(default, deserialize_with = "objects")]
    pub transcripts: Vec<Transcript>,
    /// As [`Item::embeddings`].
    #[serde(default)]
    pub embeddings: Vec<Vec<f64>>,
}

impl NumberedItem {
    /// Number and item, where both can be.
    ///
    /// # Errors
    /// [`Invalid`], with the field's path.
    pub fn checked(self) -> Result<(i32, Item), Invalid> {
        let id = check_id(self.media_item_id)?;
        let Self { keyword_hits, transcripts, embeddings, .. } = self;
        let item = Item { keyword_hits, transcripts, embeddings };
        item.check()?;
        Ok((id, item))
    }
}

/// A word of the trade that was recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeywordHit {
    /// Such as `RSI` or `stop loss`.
    pub keyword: String,
    /// `technical_indicator`, `price_action`, `risk_management`, `order_type`, or another one, which is not counted.
    pub category: String,
    /// Seconds from the beginning.
    pub start_time: f64,
    /// Seconds from the beginning.
    pub end_time: f64,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// As it was heard.
    pub text: String,
    /// Seconds from the beginning.
    pub start_time: f64,
    /// Seconds from the beginning.
    pub end_time: f64,
}

/// What is wrong with an item, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Such as `keyword_hits[3].confidence`.
    pub field: String,
    /// What was expected, and what was there.
    pub problem: String,
}

impl Invalid {
    /// A problem with this field.
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// What is written as an object: serde alone would take a list of the values for it, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|Object(value)| value).collect())
}

/// The number of an item, where it can be one.
///
/// # Errors
/// When it lies outside 1 to [`MAX_MEDIA_ITEM_ID`].
pub fn check_id(id: i64) -> Result<i32, Invalid> {
    let fits = i32::try_from(id).ok().filter(|id| *id >= 1);
    let why = || Invalid::new("media_item_id", format!("a number from 1 to {MAX_MEDIA_ITEM_ID} is expected, not {id}"));
    fits.ok_or_else(why)
}

impl Item {
    /// Whether everything in it can be: the first thing that cannot.
    ///
    /// # Errors
    /// [`Invalid`], with the field's path.
    pub fn check(&self) -> Result<(), Invalid> {
        at_most("keyword_hits", self.keyword_hits.len(), Limits::KEYWORD_HITS, "hits")?;
        at_most("transcripts", self.transcripts.len(), Limits::TRANSCRIPTS, "segments")?;
        at_most("embeddings", self.embeddings.len(), Limits::EMBEDDINGS, "embeddings")?;
        for (i, hit) in self.keyword_hits.iter().enumerate() {
            let field = |name: &str| format!("keyword_hits[{i}].{name}");
            name(field("keyword"), &hit.keyword)?;
            name(field("category"), &hit.category)?;
            times(field, hit.start_time, hit.end_time)?;
            if !(0.0..=1.0).contains(&hit.confidence) {
                let why = format!("a number from 0 to 1 is expected, not {}", hit.confidence);
                return Err(Invalid::new(field("confidence"), why));
            }
        }
        for (i, segment) in self.transcripts.iter().enumerate() {
            let field = |name: &str| format!("transcripts[{i}].{name}");
            let characters = segment.text.chars().count();
            at_most(&field("text"), characters, Limits::TEXT_CHARACTERS, "characters")?;
            no_nul(field("text"), &segment.text)?;
            times(field, segment.start_time, segment.end_time)?;
        }
        let dim = self.embeddings.first().map_or(0, Vec::len);
        for (i, embedding) in self.embeddings.iter().enumerate() {
            let field = format!("embeddings[{i}]");
            at_most(&field, embedding.len(), Limits::EMBEDDING_DIM, "numbers")?;
            if embedding.is_empty() {
                return Err(Invalid::new(field, "it is empty; an embedding has at least one number"));
            }
            if embedding.len() != dim {
                let why = format!("it has {} numbers and embeddings[0] has {dim}; all have the same", embedding.len());
                return Err(Invalid::new(field, why));
            }
            // Written so that a NaN does not fit either.
            let bad = embedding.iter().position(|x| !(-Limits::EMBEDDING_VALUE..=Limits::EMBEDDING_VALUE).contains(x));
            if let Some(k) = bad {
                let (most, had) = (Limits::EMBEDDING_VALUE, embedding[k]);
                let why = format!("a number from -{most:e} to {most:e} is expected, not {had}");
                return Err(Invalid::new(format!("{field}[{k}]"), why));
            }
        }
        Ok(())
    }
}

fn at_most(field: &str, count: usize, most: usize, what: &str) -> Result<(), Invalid> {
    let why = || Invalid::new(field, format!("at most {most} {what} are expected, not {count}"));
    if count <= most { Ok(()) } else { Err(why()) }
}

fn no_nul(field: String, text: &str) -> Result<(), Invalid> {
    if text.contains('\0') {
        Err(Invalid::new(field, "a NUL character cannot be stored: leave it out"))
    } else {
        Ok(())
    }
}

fn name(field: String, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new(field, "it is empty; a word is expected"));
    }
    if text.trim() != text {
        return Err(Invalid::new(field, format!("{text:?} begins or ends with a space: leave it out")));
    }
    at_most(&field, text.chars().count(), Limits::NAME_CHARACTERS, "characters")?;
    no_nul(field, text)
}

fn times(field: impl Fn(&str) -> String, start: f64, end: f64) -> Result<(), Invalid> {
    for (name, seconds) in [("start_time", start), ("end_time", end)] {
        if !(0.0..=Limits::SECONDS).contains(&seconds) {
            let why = format!("seconds from 0 to {} are expected, not {seconds}", Limits::SECONDS);
            return Err(Invalid::new(field(name), why));
        }
    }
    if end < start {
        return Err(Invalid::new(field("end_time"), format!("it is {end}, before start_time, which is {start}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Item {
        let hit = |keyword: &str| KeywordHit {
            keyword: keyword.into(),
            category: "technical_indicator".into(),
            start_time: 1.0,
            end_time: 2.0,
            confidence: 0.9,
        };
        let said = Transcript { text: "we buy".into(), start_time: 0.0, end_time: 3.0 };
        Item { keyword_hits: vec![hit("RSI"), hit("MACD")], transcripts: vec![said], embeddings: vec![vec![1.0, 2.0]] }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Item), field: &str) {
        let mut item = good();
        change(&mut item);
        let invalid = item.check().unwrap_err();
        assert_eq!(invalid.field, field, "{invalid}");
        assert!(invalid.to_string().starts_with(&format!("{field}: ")));
    }

    #[test]
    fn each_kind_of_wrong_value_is_told_with_its_field() {
        assert_eq!(good().check(), Ok(()));
        assert_eq!(Item::default().check(), Ok(()));
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
            refused(|i| i.keyword_hits[1].start_time = bad, "keyword_hits[1].start_time");
            refused(|i| i.keyword_hits[0].end_time = bad, "keyword_hits[0].end_time");
            refused(|i| i.keyword_hits[1].confidence = bad, "keyword_hits[1].confidence");
            refused(|i| i.transcripts[0].end_time = bad, "transcripts[0].end_time");
        }
        refused(|i| i.keyword_hits[1].confidence = 1.0001, "keyword_hits[1].confidence");
        refused(|i| i.keyword_hits[0].end_time = 0.5, "keyword_hits[0].end_time");
        refused(|i| i.transcripts[0].start_time = 3.5, "transcripts[0].end_time");
        for bad in ["", "  ", " rsi", "rsi\n", "a\0b", &"x".repeat(201)] {
            refused(|i| i.keyword_hits[1].keyword = bad.into(), "keyword_hits[1].keyword");
            refused(|i| i.keyword_hits[1].category = bad.into(), "keyword_hits[1].category");
        }
        refused(|i| i.transcripts[0].text = "a\0".into(), "transcripts[0].text");
        refused(|i| i.transcripts[0].text = "é".repeat(20_001), "transcripts[0].text");
        refused(|i| i.embeddings.push(vec![1.0]), "embeddings[1]");
        refused(|i| i.embeddings = vec![vec![]], "embeddings[0]");
        refused(|i| i.embeddings[0][1] = f64::NAN, "embeddings[0][1]");
        refused(|i| i.embeddings[0][0] = f64::NEG_INFINITY, "embeddings[0][0]");
        refused(|i| i.embeddings[0][0] = 1e31, "embeddings[0][0]");
        refused(|i| i.embeddings = vec![vec![0.0; 8_193]], "embeddings[0]");
        refused(|i| i.embeddings = vec![vec![0.0]; 10_001], "embeddings");
        refused(|i| i.transcripts = vec![i.transcripts[0].clone(); 10_001], "transcripts");
        refused(|i| i.keyword_hits = vec![i.keyword_hits[0].clone(); 10_001], "keyword_hits");
    }

    #[test]
    fn ids_are_those_that_an_integer_column_holds() {
        assert_eq!((check_id(1), check_id(2_147_483_647)), (Ok(1), Ok(i32::MAX)));
        for id in [0, -1, 2_147_483_648, i64::MAX, i64::MIN] {
            assert_eq!(check_id(id).unwrap_err().field, "media_item_id");
        }
    }

    #[test]
    fn what_is_left_out_is_empty_and_what_nobody_knows_is_refused() {
        let read = |text: &str| serde_json::from_str::<Item>(text).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(Item::default()));
        assert_eq!(read(r#"{"keyword_hits": [], "transcripts": [], "embeddings": []}"#), Ok(Item::default()));
        for (text, said) in [
            (r#"{"keywords": []}"#, "unknown field `keywords`"),
            (r#"{"keyword_hits": null}"#, "invalid type: null"),
            (r#"{"keyword_hits": [["rsi", "x", 0, 1, 1]]}"#, "expected an object"),
            (r#"{"keyword_hits": [{"keyword": "rsi"}]}"#, "missing field `category`"),
            (r#"{"transcripts": [{"text": "x", "start_time": "0", "end_time": 1}]}"#, "invalid type: string"),
            (r#"{"embeddings": [[1, null]]}"#, "invalid type: null"),
            (r#"{"embeddings": [[1e999]]}"#, "number out of range"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
