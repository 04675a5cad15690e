//! Arrow feather files by a mapping.

use super::rows::{Collector, counted_ms, time_ms};
use super::{Column, ForeignError, Mapping, TimeFormat};
use crate::dumps::Rows;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, PrimitiveArray, RecordBatch, StringArray};
use candles::Interval;
use std::io::Cursor;

pub(super) fn read(bytes: &[u8], mapping: &Mapping, interval: Interval) -> Result<Rows, ForeignError> {
    let owned = bytes.to_vec();
    // The reader trusts lengths that a damaged file states; its panic is damage like any other.
    let batches = std::panic::catch_unwind(move || -> Result<Vec<RecordBatch>, String> {
        let reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(owned), None).map_err(|e| e.to_string())?;
        reader.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())
    });
    let broken = |why: String| ForeignError::Broken { format: "feather", why };
    let batches = batches.unwrap_or_else(|_| Err("its structure is broken".to_owned())).map_err(broken)?;
    let mut collector = Collector::new(interval);
    let mut line = 0;
    for batch in &batches {
        let times = match &mapping.time[..] {
            [one] => Times::of(column(batch, one)?)?,
            _ => return Err(broken("the mapping joins several columns into the time".to_owned())),
        };
        let prices = [&mapping.open, &mapping.high, &mapping.low, &mapping.close];
        let prices = prices.map(|name| column(batch, name).and_then(|c| floats(c, name)));
        let [open, high, low, close] = prices;
        let (open, high, low, close) = (open?, high?, low?, close?);
        let volume = match &mapping.volume {
            Some(name) => Some(floats(column(batch, name)?, name)?),
            None => None,
        };
        for i in 0..batch.num_rows() {
            line += 1;
            let row = times.ms(i, mapping).and_then(|time| {
                let value = |column: &PrimitiveArray<Float64Type>| {
                    if column.is_null(i) { Err("a value is missing".to_owned()) } else { Ok(column.value(i)) }
                };
                let volume = volume.as_ref().map_or(Ok(0.0), value)?;
                Ok((time, [value(&open)?, value(&high)?, value(&low)?, value(&close)?, volume]))
            });
            collector.take(line, row)?;
        }
    }
    collector.finish()
}

fn column<'a>(batch: &'a RecordBatch, column: &Column) -> Result<&'a dyn Array, ForeignError> {
    let found = match column {
        Column::Place(n) => batch.columns().get(n.saturating_sub(1)),
        Column::Name(name) => {
            let schema = batch.schema();
            let at = schema.fields().iter().position(|f| f.name().eq_ignore_ascii_case(name));
            at.and_then(|at| batch.columns().get(at))
        }
    };
    found.map(AsRef::as_ref).ok_or_else(|| {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        ForeignError::NoColumn(format!("{column:?}"), names.join(", "))
    })
}

fn floats(column: &dyn Array, name: &Column) -> Result<PrimitiveArray<Float64Type>, ForeignError> {
    let found = column.as_any().downcast_ref::<PrimitiveArray<Float64Type>>();
    found.cloned().ok_or_else(|| ForeignError::Broken {
        format: "feather",
        why: format!("column {name:?} holds {} and not numbers", column.data_type()),
    })
}

/// A column of times, by how it counts.
enum Times<'a> {
    /// With the ticks in a millisecond; 0 for seconds.
    Stamps(Vec<Option<i64>>, i64),
    Integers(&'a PrimitiveArray<Int64Type>),
    Texts(&'a StringArray),
}

impl<'a> Times<'a> {
    fn of(column: &'a dyn Array) -> Result<Self, ForeignError> {
        let any = column.as_any();
        if let Some(a) = any.downcast_ref::<PrimitiveArray<TimestampMillisecondType>>() {
            return Ok(Self::Stamps(a.iter().collect(), 1));
        }
        if let Some(a) = any.downcast_ref::<PrimitiveArray<TimestampNanosecondType>>() {
            return Ok(Self::Stamps(a.iter().collect(), 1_000_000));
        }
        if let Some(a) = any.downcast_ref::<PrimitiveArray<TimestampMicrosecondType>>() {
            return Ok(Self::Stamps(a.iter().collect(), 1_000));
        }
        if let Some(a) = any.downcast_ref::<PrimitiveArray<TimestampSecondType>>() {
            return Ok(Self::Stamps(a.iter().collect(), 0));
        }
        if let Some(a) = any.downcast_ref::<PrimitiveArray<Int64Type>>() {
            return Ok(Self::Integers(a));
        }
        any.downcast_ref::<StringArray>().map(Self::Texts).ok_or_else(|| ForeignError::Broken {
            format: "feather",
            why: format!("its times are {}", column.data_type()),
        })
    }

    fn ms(&self, i: usize, mapping: &Mapping) -> Result<i64, String> {
        let missing = || "its time is missing".to_owned();
        match self {
            Self::Stamps(all, per_ms) => counted_ms(all[i].ok_or_else(missing)?, *per_ms, mapping),
            Self::Integers(all) if all.is_null(i) => Err(missing()),
            Self::Integers(all) => match mapping.time_format {
                TimeFormat::Unix { per_ms } => counted_ms(all.value(i), per_ms, mapping),
                TimeFormat::Text(_) => Err("its time is a number, and the mapping says text".to_owned()),
            },
            Self::Texts(all) if all.is_null(i) => Err(missing()),
            Self::Texts(all) => time_ms(all.value(i), mapping),
        }
    }
}
