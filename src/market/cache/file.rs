//! One month of candles as Parquet bytes and back. The same candles always give the same bytes.
//!
//! The facts about the candles travel in the footer's key-value metadata, so they can be read without decoding a
//! column and can never disagree with the candles beside them. Never touches a disk.

use super::manifest::{Facts, FundingFacts, ReadingFacts, content_sha256};
use super::reading_table::{ReadingTable, columns, readings_sha256};
use bytes::Bytes;
use candles::stored::Part;
use candles::{Candle, CandleSeries, FundingRate, Interval};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Key of the facts in a candle file's footer.
const CANDLE_FACTS_KEY: &str = "sg_ai.candles";
/// Key of the facts in a funding file's footer.
const FUNDING_FACTS_KEY: &str = "sg_ai.funding";
/// Key of the facts in the footer of a file of readings.
const READING_FACTS_KEY: &str = "sg_ai.readings";
const ZSTD_LEVEL: i32 = 3;
/// More rows than any month of any interval has; a larger count means a damaged or foreign file.
const MAX_ROWS: i64 = 100_000;

const INTEGERS: [&str; 2] = ["open_time_ms", "trade_count"];
const DOUBLES: [&str; 8] =
    ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"];

/// Why bytes are not a month of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    #[error("it is not a file of ours: {0}")]
    Foreign(&'static str),
    #[error("its description does not parse: {0}")]
    Facts(#[from] serde_json::Error),
    #[error("it holds what cannot be: {0}")]
    Content(String),
}

/// A month of candles as a Parquet file.
pub(super) fn encode(series: &CandleSeries, facts: &Facts) -> Result<Vec<u8>, FileError> {
    let n = series.len();
    let mut trade_count = Vec::with_capacity(n);
    let mut extra = [Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n)];
    for c in series.candles() {
        trade_count.push(i64::try_from(c.trade_count).unwrap_or(i64::MAX));
        extra[0].push(c.quote_volume);
        extra[1].push(c.taker_buy_volume);
        extra[2].push(c.taker_buy_quote_volume);
    }
    let [quote_volume, taker_volume, taker_quote] = &extra;
    let doubles: [&[f64]; 8] = [
        series.opens(),
        series.highs(),
        series.lows(),
        series.closes(),
        series.volumes(),
        quote_volume,
        taker_volume,
        taker_quote,
    ];
    let integers = [series.open_times_ms(), &trade_count];
    write(&INTEGERS, &integers, &DOUBLES, &doubles, CANDLE_FACTS_KEY, facts)
}

/// The candles of a file, which must be the ones its facts speak of.
pub(super) fn decode(bytes: Bytes, interval: Interval) -> Result<CandleSeries, FileError> {
    let reader = SerializedFileReader::new(bytes)?;
    let facts: Facts = facts_of(reader.metadata().file_metadata(), CANDLE_FACTS_KEY)?;
    if facts.interval != interval {
        return Err(FileError::Content(format!("candles of {} among those of {interval}", facts.interval)));
    }
    let (integers, doubles) = read(&reader, &INTEGERS, &DOUBLES)?;
    let mut series = CandleSeries::new(interval);
    for i in 0..integers[0].len() {
        let open_time_ms = integers[0][i];
        let candle = Candle {
            open_time_ms,
            open: doubles[0][i],
            high: doubles[1][i],
            low: doubles[2][i],
            close: doubles[3][i],
            volume: doubles[4][i],
            close_time_ms: 0,
            quote_volume: doubles[5][i],
            trade_count: integers[1][i].unsigned_abs(),
            taker_buy_volume: doubles[6][i],
            taker_buy_quote_volume: doubles[7][i],
        };
        series.push(&candle).map_err(|e| FileError::Content(e.to_string()))?;
    }
    if content_sha256(&series) != facts.content_sha256 {
        return Err(FileError::Content("the candles do not have the hash they were stored with".to_owned()));
    }
    Ok(series)
}

/// A month of funding payments as a Parquet file.
pub(super) fn encode_funding(rates: &[FundingRate], facts: &FundingFacts) -> Result<Vec<u8>, FileError> {
    let times: Vec<i64> = rates.iter().map(|r| r.time_ms).collect();
    let values: Vec<f64> = rates.iter().map(|r| r.rate).collect();
    write(&["time_ms"], &[&times], &["rate"], &[&values], FUNDING_FACTS_KEY, facts)
}

/// The funding payments of a file.
pub(super) fn decode_funding(bytes: Bytes) -> Result<Vec<FundingRate>, FileError> {
    let (times, rates) = read(&SerializedFileReader::new(bytes)?, &["time_ms"], &["rate"])?;
    let rates: Vec<_> = times[0].iter().zip(&rates[0]).map(|(&time_ms, &rate)| FundingRate { time_ms, rate }).collect();
    if rates.windows(2).all(|p| p[0].time_ms < p[1].time_ms) && rates.iter().all(|r| r.rate.is_finite()) {
        Ok(rates)
    } else {
        Err(FileError::Content("funding payments out of order, or not numbers".to_owned()))
    }
}

/// A month of readings as a Parquet file.
pub(super) fn encode_readings(table: &ReadingTable, facts: &ReadingFacts) -> Result<Vec<u8>, FileError> {
    let values: Vec<&[f64]> = table.values().iter().map(Vec::as_slice).collect();
    write(&["known_ms"], &[table.times_ms()], columns(table.part()), &values, READING_FACTS_KEY, facts)
}

/// The readings of a file, which must be the ones its facts speak of.
pub(super) fn decode_readings(bytes: Bytes, part: Part) -> Result<ReadingTable, FileError> {
    let reader = SerializedFileReader::new(bytes)?;
    let facts: ReadingFacts = facts_of(reader.metadata().file_metadata(), READING_FACTS_KEY)?;
    if facts.part != part.to_string() {
        return Err(FileError::Content(format!("{} among those of {part}", facts.part)));
    }
    let (mut times, values) = read(&reader, &["known_ms"], columns(part))?;
    let table = ReadingTable::from_columns(part, times.swap_remove(0), values);
    if !table.times_ms().windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(FileError::Content("readings out of order".to_owned()));
    }
    if readings_sha256(&table) != facts.content_sha256 {
        return Err(FileError::Content("the readings do not have the hash they were stored with".to_owned()));
    }
    Ok(table)
}

/// Reads the facts in the footer that ends `tail`, of a file `size` bytes long. `Err(Some(n))`: give at least the last
/// `n`.
pub(super) type ReadFacts<F> = fn(Bytes, u64) -> Result<F, (FileError, Option<u64>)>;

/// The facts of a month of candles, as [`ReadFacts`] says.
pub(super) fn candle_facts(tail: Bytes, size: u64) -> Result<Facts, (FileError, Option<u64>)> {
    footer_facts(tail, size, CANDLE_FACTS_KEY)
}

/// The facts of a month of readings, as [`ReadFacts`] says.
pub(super) fn reading_facts(tail: Bytes, size: u64) -> Result<ReadingFacts, (FileError, Option<u64>)> {
    footer_facts(tail, size, READING_FACTS_KEY)
}

fn footer_facts<F: DeserializeOwned>(tail: Bytes, size: u64, key: &str) -> Result<F, (FileError, Option<u64>)> {
    let mut reader = ParquetMetaDataReader::new();
    let have = tail.len() as u64;
    match reader.try_parse_sized(&tail, size) {
        Ok(()) => {}
        Err(ParquetError::NeedMoreData(n)) if n as u64 > have && have < size => {
            return Err((FileError::Foreign("the footer is long"), Some(n as u64)));
        }
        Err(e) => return Err((e.into(), None)),
    }
    let metadata = reader.finish().map_err(|e| (e.into(), None))?;
    facts_of(metadata.file_metadata(), key).map_err(|e| (e, None))
}

fn facts_of<F: DeserializeOwned>(metadata: &FileMetaData, key: &str) -> Result<F, FileError> {
    let pairs = metadata.key_value_metadata().ok_or(FileError::Foreign("its footer describes nothing"))?;
    let value = pairs.iter().find(|kv| kv.key == key).and_then(|kv| kv.value.as_deref());
    Ok(serde_json::from_str(value.ok_or(FileError::Foreign("its footer lacks our description"))?)?)
}

fn write<F: Serialize>(
    integer_names: &[&str],
    integers: &[&[i64]],
    double_names: &[&str],
    doubles: &[&[f64]],
    facts_key: &str,
    facts: &F,
) -> Result<Vec<u8>, FileError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_created_by("sg-ai".to_owned())
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![KeyValue::new(facts_key.to_owned(), serde_json::to_string(facts)?)]));
    let mut fields = String::new();
    for name in integer_names {
        properties = properties.set_column_encoding(ColumnPath::from(*name), Encoding::DELTA_BINARY_PACKED);
        fields.push_str(&format!("required int64 {name};"));
    }
    for name in double_names {
        properties = properties.set_column_encoding(ColumnPath::from(*name), Encoding::BYTE_STREAM_SPLIT);
        fields.push_str(&format!("required double {name};"));
    }
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}"))?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    for values in integers {
        let mut column = group.next_column()?.ok_or(FileError::Foreign("a column is missing"))?;
        column.typed::<Int64Type>().write_batch(values, None, None)?;
        column.close()?;
    }
    for values in doubles {
        let mut column = group.next_column()?.ok_or(FileError::Foreign("a column is missing"))?;
        column.typed::<DoubleType>().write_batch(values, None, None)?;
        column.close()?;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

type Columns = (Vec<Vec<i64>>, Vec<Vec<f64>>);

fn read(
    reader: &SerializedFileReader<Bytes>,
    integer_names: &[&str],
    double_names: &[&str],
) -> Result<Columns, FileError> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let named = |i: usize, name: &str| schema.column(i).name() == name;
    let expected = integer_names.len() + double_names.len();
    if schema.num_columns() != expected
        || !integer_names.iter().chain(double_names).enumerate().all(|(i, name)| named(i, name))
    {
        return Err(FileError::Foreign("its columns are others"));
    }
    let mut integers = vec![Vec::new(); integer_names.len()];
    let mut doubles = vec![Vec::new(); double_names.len()];
    for g in 0..reader.num_row_groups() {
        let group = reader.get_row_group(g)?;
        let rows = group.metadata().num_rows();
        if !(0..=MAX_ROWS).contains(&rows) {
            return Err(FileError::Content(format!("{rows} rows in a month")));
        }
        let rows = rows.unsigned_abs() as usize;
        for (i, values) in integers.iter_mut().enumerate() {
            read_column(group.as_ref(), i, rows, Values::Integers(values))?;
        }
        for (i, values) in doubles.iter_mut().enumerate() {
            read_column(group.as_ref(), integer_names.len() + i, rows, Values::Doubles(values))?;
        }
    }
    Ok((integers, doubles))
}

enum Values<'a> {
    Integers(&'a mut Vec<i64>),
    Doubles(&'a mut Vec<f64>),
}

fn read_column(group: &dyn RowGroupReader, i: usize, rows: usize, into: Values<'_>) -> Result<(), FileError> {
    let read = match (group.get_column_reader(i)?, into) {
        (ColumnReader::Int64ColumnReader(mut column), Values::Integers(values)) => {
            values.reserve_exact(rows);
            column.read_records(rows, None, None, values)?.0
        }
        (ColumnReader::DoubleColumnReader(mut column), Values::Doubles(values)) => {
            values.reserve_exact(rows);
            column.read_records(rows, None, None, values)?.0
        }
        _ => return Err(FileError::Foreign("a column has another type")),
    };
    if read == rows { Ok(()) } else { Err(FileError::Content(format!("a column ends after {read} of {rows} rows"))) }
}
