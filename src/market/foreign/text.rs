//! Delimited text and JSON rows by a mapping.

use super::rows::{Collector, Row, counted_ms, time_ms};
use super::{Column, ForeignError, Mapping, TimeFormat};
use crate::dumps::Rows;
use crate::text::decode;
use candles::Interval;
use serde_json::Value;

/// Where each value of a row is.
struct Places {
    time: Vec<usize>,
    /// Open, high, low, close.
    prices: [usize; 4],
    volume: Option<usize>,
}

fn places(mapping: &Mapping, header: Option<&[String]>) -> Result<Places, ForeignError> {
    let place = |column: &Column| match column {
        Column::Place(n) => Ok(n.saturating_sub(1)),
        Column::Name(name) => {
            let names = header.unwrap_or_default();
            let found = names.iter().position(|n| n.trim().eq_ignore_ascii_case(name));
            found.ok_or_else(|| ForeignError::NoColumn(name.clone(), names.join(", ")))
        }
    };
    let prices = [&mapping.open, &mapping.high, &mapping.low, &mapping.close];
    let [open, high, low, close] = prices.map(place);
    Ok(Places {
        time: mapping.time.iter().map(place).collect::<Result<_, _>>()?,
        prices: [open?, high?, low?, close?],
        volume: mapping.volume.as_ref().map(place).transpose()?,
    })
}

pub(super) fn read_csv(bytes: &[u8], mapping: &Mapping, interval: Interval) -> Result<Rows, ForeignError> {
    let text = decode(bytes).map_err(|e| ForeignError::Broken { format: "CSV", why: e.to_string() })?;
    let bytes = text.as_bytes();
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<') && !mapping_has_angles(mapping) {
        return Err(ForeignError::Broken { format: "CSV", why: "it begins like an HTML page".to_owned() });
    }
    let delimiter = u8::try_from(mapping.delimiter)
        .map_err(|_| ForeignError::Broken { format: "CSV", why: "the delimiter is no ASCII character".to_owned() })?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let mut record = csv::StringRecord::new();
    let mut collector = Collector::new(interval);
    let mut found: Option<Places> = None;
    let broken = |e: csv::Error| ForeignError::Broken { format: "CSV", why: e.to_string() };
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(0, csv::Position::line);
        let Some(places) = &found else {
            let header: Vec<String> = record.iter().map(str::to_owned).collect();
            let by_place = mapping.time.iter().all(|c| matches!(c, Column::Place(_)));
            found = Some(places(mapping, Some(&header))?);
            // Columns by place need no header; where there is one, it is no row.
            if by_place
                && let Some(places) = &found
                && csv_row(&record, places, mapping).is_ok()
            {
                collector.take(line, csv_row(&record, places, mapping))?;
            }
            continue;
        };
        collector.take(line, csv_row(&record, places, mapping))?;
    }
    collector.finish()
}

/// MetaTrader's column names stand in angle brackets.
fn mapping_has_angles(mapping: &Mapping) -> bool {
    mapping.time.iter().any(|c| matches!(c, Column::Name(name) if name.starts_with('<')))
}

fn csv_row(record: &csv::StringRecord, places: &Places, mapping: &Mapping) -> Result<Row, String> {
    let text = |at: usize| record.get(at).map(str::trim).ok_or_else(|| format!("it has no column {}", at + 1));
    let number = |at: usize| -> Result<f64, String> {
        let text = text(at)?;
        text.parse().map_err(|_| format!("{text:?} is not a number"))
    };
    let time = places.time.iter().map(|at| text(*at)).collect::<Result<Vec<_>, _>>()?.join(" ");
    let time = time_ms(&time, mapping)?;
    let [open, high, low, close] = places.prices;
    let volume = places.volume.map_or(Ok(0.0), number)?;
    Ok((time, [number(open)?, number(high)?, number(low)?, number(close)?, volume]))
}

pub(super) fn read_json(bytes: &[u8], mapping: &Mapping, interval: Interval) -> Result<Rows, ForeignError> {
    let broken = |why: String| ForeignError::Broken { format: "JSON", why };
    let text = decode(bytes).map_err(|e| broken(e.to_string()))?;
    let rows: Vec<Value> = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
    let mut collector = Collector::new(interval);
    for (i, row) in rows.iter().enumerate() {
        collector.take(i as u64 + 1, json_row(row, mapping))?;
    }
    collector.finish()
}

fn json_row(row: &Value, mapping: &Mapping) -> Result<Row, String> {
    let value = |column: &Column| {
        let found = match (row, column) {
            (Value::Array(items), Column::Place(n)) => items.get(n.saturating_sub(1)),
            (Value::Object(fields), Column::Name(name)) => fields.get(name),
            _ => None,
        };
        found.ok_or_else(|| format!("it has no {column:?}"))
    };
    let number = |column: &Column| -> Result<f64, String> {
        match value(column)? {
            Value::Number(n) => n.as_f64().ok_or_else(|| format!("{n} is not a number")),
            Value::String(text) => text.trim().parse().map_err(|_| format!("{text:?} is not a number")),
            other => Err(format!("{other} is not a number")),
        }
    };
    let time = match (&mapping.time[..], &mapping.time_format) {
        ([column], TimeFormat::Unix { per_ms }) if value(column)?.is_i64() => {
            counted_ms(value(column)?.as_i64().unwrap_or_default(), *per_ms, mapping)?
        }
        (columns, _) => {
            let part = |column: &Column| match value(column)? {
                Value::String(text) => Ok(text.clone()),
                other => Ok::<_, String>(other.to_string()),
            };
            time_ms(&columns.iter().map(part).collect::<Result<Vec<_>, _>>()?.join(" "), mapping)?
        }
    };
    let volume = mapping.volume.as_ref().map_or(Ok(0.0), number)?;
    Ok((time, [number(&mapping.open)?, number(&mapping.high)?, number(&mapping.low)?, number(&mapping.close)?, volume]))
}
