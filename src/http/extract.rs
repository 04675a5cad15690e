//! What comes in with a request, read so that a wrong one is answered with a problem that names the field.

use super::answer::wrong;
use super::problem::Problem;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Json, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, header, request::Parts},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};
use utoipa::IntoParams;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let why = "the body must be sent as it is: a compressed one is not unpacked";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        let (parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = read.map_err(|rejection| refused_body(&rejection.into()))?;
        // Some editors and languages put it in front of whatever they write.
        let bytes = if bytes.starts_with(BYTE_ORDER_MARK) { bytes.slice(BYTE_ORDER_MARK.len()..) } else { bytes };
        let request = Request::from_parts(parts, bytes.into());
        match Json::<Object<T>>::from_request(request, state).await {
            Ok(Json(Object(value))) => Ok(Self(value)),
            Err(rejection) => Err(refused_body(&rejection)),
        }
    }
}

/// A JSON body that may be left out: then all of it is as usual.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = read.map_err(|rejection| refused_body(&rejection.into()))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        let Body(value) = Body::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self(value))
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What is written as an object: serde alone would take a list of the values for it, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Object)
    }
}

/// Reads a struct from an object and from nothing else.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Fields<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Fields(PhantomData))
}

fn refused_body(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => {
            let (field, detail) = field_of(said(&text));
            Problem { field, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
        }
        JsonRejection::JsonSyntaxError(_) => {
            let detail = format!("the body is not JSON: {}", said(&text));
            // Where it stops being JSON, such as at the NaN of another language.
            Problem { field: field_of(said(&text)).0, ..Problem::new(StatusCode::BAD_REQUEST, detail) }
        }
        JsonRejection::MissingJsonContentType(_) => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be JSON, sent as application/json")
        }
        _ if is_late(rejection) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come within http.client_timeout_ms")
        }
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than http.max_body_kb (of media http.max_media_kb) allows",
        ),
        _ => Problem::new(rejection.status(), text),
    }
}

/// Whether time ran out somewhere below.
fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let here = error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut);
    here || error.source().is_some_and(is_late)
}

/// What is said after the library's own preamble.
fn said(text: &str) -> &str {
    ["target type: ", "as JSON: ", "query string: "]
        .iter()
        .find_map(|lead| text.split_once(lead).map(|(_, rest)| rest))
        .unwrap_or(text)
}

/// The field at fault and what is wrong with it, from `risk.size: invalid type ...` or ``missing field `name` ``.
fn field_of(said: &str) -> (Option<String>, String) {
    let is_path =
        |path: &str| !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]".contains(c));
    let (path, problem) = match said.split_once(": ") {
        Some((path, problem)) if is_path(path) => (Some(path), problem),
        _ => (None, said),
    };
    let named = ["missing field `", "unknown field `"].iter().find_map(|lead| problem.split_once(lead));
    let named = named.and_then(|(_, rest)| rest.split_once('`')).map(|(name, _)| name);
    // Where serde names the field inside the place that the path leads to.
    let field = match (path, named) {
        (Some(path), Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
        (Some(path), _) => Some(path.to_owned()),
        (None, name) => name.map(str::to_owned),
    };
    // A place in the text of the body is of no use to who sees the field's name.
    let problem = problem.split(" at line ").next().unwrap_or(problem).to_owned();
    (field, problem)
}

/// Parameters of the query.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let (field, detail) = field_of(said(&text));
                Err(Problem { field, ..Problem::new(StatusCode::BAD_REQUEST, detail) })
            }
        }
    }
}

/// The one parameter of a path.
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem {
                field: Some("id".to_owned()),
                ..Problem::new(StatusCode::BAD_REQUEST, rejection.body_text())
            }),
        }
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1, example = 100)]
    pub(super) limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    pub(super) offset: Option<u32>,
}

/// A text of at most 200 characters, as the document says.
pub(super) fn short(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.chars().count() > 200 => Err(wrong(field, "at most 200 characters are expected")),
        // Postgres text holds no NUL: nothing stored can be meant.
        text => Ok(text.map(|text| text.replace('\0', "\u{fffd}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Object, field_of};
    use axum::{
        body::Body as Bytes,
        extract::{FromRequest, Request},
    };

    async fn read(body: &str, headers: &[(&str, &str)]) -> Result<serde_json::Value, u16> {
        let request = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let read = Body::<serde_json::Map<String, serde_json::Value>>::from_request(request, &()).await;
        read.map(|Body(map)| map.into()).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_is_json_with_or_without_a_byte_order_mark_and_never_compressed() {
        let json = ("content-type", "application/json");
        let one = Ok(serde_json::json!({ "a": 1 }));
        assert_eq!(read(r#"{"a": 1}"#, &[json]).await, one);
        assert_eq!(read("\u{feff}{\"a\": 1}", &[json, ("content-encoding", "identity")]).await, one);
        assert_eq!(read("{\u{feff}\"a\": 1}", &[json]).await, Err(400));
        assert_eq!(read(r#"{"a": 1}"#, &[]).await, Err(415));
        for encoding in ["gzip", "br", "deflate, gzip"] {
            assert_eq!(read("whatever", &[json, ("content-encoding", encoding)]).await, Err(415), "{encoding}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Debug, serde::Deserialize)]
        struct Two {
            first: u8,
            second: u8,
        }
        let read = |text| serde_json::from_str::<Object<Two>>(text).map(|Object(two)| (two.first, two.second));
        assert_eq!(read(r#"{"first": 1, "second": 2}"#).unwrap(), (1, 2));
        assert!(read("[1, 2]").unwrap_err().to_string().contains("expected an object"));
    }

    #[test]
    fn the_field_is_found_in_what_the_reader_says() {
        let of = |said| {
            let (field, problem) = field_of(said);
            (field.unwrap_or_default(), problem)
        };
        assert_eq!(of("missing field `name` at line 1 column 2"), ("name".into(), "missing field `name`".into()));
        assert_eq!(
            of("entry_rules[1]: invalid type: integer `3`, expected a string at line 1 column 9"),
            ("entry_rules[1]".into(), "invalid type: integer `3`, expected a string".into())
        );
        assert_eq!(
            of("risk_management.stop: unknown field `stop`, expected one of `a` at line 1 column 2").0,
            "risk_management.stop"
        );
        assert_eq!(of("risk_management: missing field `stop`").0, "risk_management.stop");
        assert_eq!(of("limit: invalid digit found in string").0, "limit");
    }
}
