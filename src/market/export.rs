//! Candles as files for other programs: Parquet or CSV, all columns, exact numbers.
//!
//! Reads the cache and writes files; never fetches, never fills a gap. A file is there whole or not at all.

use crate::CandleCache;
use crate::cache::CacheError;
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Columns after `symbol`, by the names of the exchange's dumps.
const COLUMNS: [&str; 11] = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
];
const PARQUET_SCHEMA: &str = "message candles {
    required binary symbol (UTF8);
    required int64 open_time (TIMESTAMP(MILLIS, true));
    required double open;
    required double high;
    required double low;
    required double close;
    required double volume;
    required int64 close_time (TIMESTAMP(MILLIS, true));
    required double quote_volume;
    required int64 count;
    required double taker_buy_volume;
    required double taker_buy_quote_volume;
}";
/// Level of both compressions that have levels: small files at a good speed.
const LEVEL: u32 = 6;
/// Candles of one row group: readers take a part of a file by it.
const GROUP_ROWS: usize = 1 << 20;

/// A form of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Format {
    Parquet,
    Csv,
}

/// A compression: of Parquet's pages, or of a whole CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
    Snappy,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("unknown format {text:?}; expected parquet or csv")),
        }
    }
}

impl FromStr for Packing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "snappy" => Ok(Self::Snappy),
            _ => Err(format!("unknown compression {text:?}; expected none, gzip, zstd or snappy")),
        }
    }
}

impl Format {
    /// What readers expect: Parquet in pages of Zstandard, CSV as it is.
    #[must_use]
    pub fn usual_packing(self) -> Packing {
        match self {
            Self::Parquet => Packing::Zstd,
            Self::Csv => Packing::None,
        }
    }

    /// The ending of file names: `parquet`, `csv`, `csv.gz`, `csv.zst`.
    #[must_use]
    pub fn ending(self, packing: Packing) -> &'static str {
        match (self, packing) {
            (Self::Parquet, _) => "parquet",
            (Self::Csv, Packing::Gzip) => "csv.gz",
            (Self::Csv, Packing::Zstd) => "csv.zst",
            (Self::Csv, Packing::None | Packing::Snappy) => "csv",
        }
    }
}

/// What is exported.
#[derive(Clone, Debug)]
pub struct ExportSpec {
    /// Which market.
    pub market: MarketKind,
    /// Which symbols, in the order of the file.
    pub symbols: Vec<Symbol>,
    /// Which interval; built from stored finer candles where it is not stored.
    pub interval: Interval,
    /// First open time, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// The form.
    pub format: Format,
    /// The compression.
    pub packing: Packing,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Where.
    pub path: PathBuf,
    /// Its symbols with their candles.
    pub symbols: Vec<(Symbol, u64)>,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Why nothing, or not all, could be exported.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ExportError {
    #[error("CSV is compressed whole, by gzip or zstd; snappy is for parquet")]
    SnappyCsv,
    #[error("there are no {interval} candles of {} {} in that time", .ticker.market, .ticker.symbol)]
    Nothing { ticker: Ticker, interval: Interval },
    #[error("{path} cannot be written: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written: {source}", path = path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Writes candles: into one file at `out` with a column `symbol`, or, where `out` is a directory or ends with `/`, a file a
/// symbol named `SYMBOL-INTERVAL.ENDING`. One symbol is in memory at a time.
///
/// # Errors
/// When a symbol has no candle in that time, the cache cannot be read, or a file cannot be written; the file that was
/// being written is not there then.
pub async fn export(cache: &CandleCache, spec: &ExportSpec, out: &Path) -> Result<Vec<Exported>, ExportError> {
    if spec.format == Format::Csv && spec.packing == Packing::Snappy {
        return Err(ExportError::SnappyCsv);
    }
    let by_symbol = out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/');
    let groups: Vec<(PathBuf, &[Symbol])> = if by_symbol {
        std::fs::create_dir_all(out).map_err(|source| ExportError::Write { path: out.to_owned(), source })?;
        let name = |symbol: &Symbol| format!("{symbol}-{}.{}", interval_name(spec), spec.format.ending(spec.packing));
        spec.symbols.iter().map(|symbol| (out.join(name(symbol)), std::slice::from_ref(symbol))).collect()
    } else {
        vec![(out.to_owned(), &spec.symbols[..])]
    };
    let mut written = Vec::with_capacity(groups.len());
    for (path, symbols) in groups {
        written.push(write_file(cache, spec, symbols, path).await?);
    }
    Ok(written)
}

fn interval_name(spec: &ExportSpec) -> &'static str {
    if spec.interval == Interval::Mo1 { "1mo" } else { spec.interval.name() }
}

async fn write_file(
    cache: &CandleCache,
    spec: &ExportSpec,
    symbols: &[Symbol],
    path: PathBuf,
) -> Result<Exported, ExportError> {
    let failed = |source| ExportError::Write { path: path.clone(), source };
    let part = PathBuf::from(format!("{}.part", path.display()));
    let outcome = async {
        let file = File::create(&part).map_err(failed)?;
        let mut sink = Sink::begin(file, spec, &path)?;
        let mut counts = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let ticker = Ticker::of(spec.market, symbol);
            let series = cache.load(&ticker, spec.interval, spec.from_ms, spec.to_ms).await?;
            if series.is_empty() {
                return Err(ExportError::Nothing { ticker, interval: spec.interval });
            }
            counts.push((symbol.clone(), series.len() as u64));
            let (moved, of) = (symbol.clone(), path.clone());
            let adding = tokio::task::spawn_blocking(move || sink.add(&moved, &series, &of).map(|()| sink));
            sink = adding.await.map_err(|e| CacheError::Task(e.to_string()))??;
        }
        sink.end(&path)?;
        std::fs::rename(&part, &path).map_err(failed)?;
        Ok(counts)
    };
    match outcome.await {
        Ok(counts) => {
            let bytes = std::fs::metadata(&path).map_err(failed)?.len();
            Ok(Exported { path, symbols: counts, bytes })
        }
        Err(e) => {
            // What is left is only a part; the error tells why.
            let _ = std::fs::remove_file(&part);
            Err(e)
        }
    }
}

/// Where candles are written to.
enum Sink {
    Parquet(Box<SerializedFileWriter<File>>),
    Csv(Box<dyn Finish>),
}

/// A writer with an end of its own.
trait Finish: Write + Send {
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Finish for BufWriter<File> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

impl Finish for flate2::write::GzEncoder<BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        Box::new((*self).finish()?).finish()
    }
}

impl Finish for zstd::Encoder<'static, BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        Box::new((*self).finish()?).finish()
    }
}

impl Sink {
    fn begin(file: File, spec: &ExportSpec, path: &Path) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Parquet { path: path.to_owned(), source };
        let unwritten = |source| ExportError::Write { path: path.to_owned(), source };
        if spec.format == Format::Csv {
            let out = BufWriter::new(file);
            let mut csv: Box<dyn Finish> = match spec.packing {
                Packing::Gzip => Box::new(flate2::write::GzEncoder::new(out, flate2::Compression::new(LEVEL))),
                Packing::Zstd => Box::new(zstd::Encoder::new(out, LEVEL as i32).map_err(unwritten)?),
                Packing::None | Packing::Snappy => Box::new(out),
            };
            writeln!(csv, "symbol,{}", COLUMNS.join(",")).map_err(unwritten)?;
            return Ok(Self::Csv(csv));
        }
        let compression = match spec.packing {
            Packing::None => Compression::UNCOMPRESSED,
            Packing::Gzip => Compression::GZIP(GzipLevel::try_new(LEVEL).map_err(failed)?),
            Packing::Zstd => Compression::ZSTD(ZstdLevel::try_new(LEVEL as i32).map_err(failed)?),
            Packing::Snappy => Compression::SNAPPY,
        };
        let properties = WriterProperties::builder().set_compression(compression).set_created_by("sg-ai".to_owned());
        let schema = Arc::new(parse_message_type(PARQUET_SCHEMA).map_err(failed)?);
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).map_err(failed)?;
        Ok(Self::Parquet(Box::new(writer)))
    }

    fn add(&mut self, symbol: &Symbol, series: &CandleSeries, path: &Path) -> Result<(), ExportError> {
        match self {
            Self::Parquet(writer) => add_groups(writer, symbol, series)
                .map_err(|source| ExportError::Parquet { path: path.to_owned(), source }),
            Self::Csv(csv) => {
                add_lines(csv, symbol, series).map_err(|source| ExportError::Write { path: path.to_owned(), source })
            }
        }
    }

    fn end(self, path: &Path) -> Result<(), ExportError> {
        match self {
            Self::Parquet(writer) => {
                let file = writer.into_inner();
                let file = file.map_err(|source| ExportError::Parquet { path: path.to_owned(), source })?;
                file.sync_all().map_err(|source| ExportError::Write { path: path.to_owned(), source })
            }
            Self::Csv(csv) => csv.finish().map_err(|source| ExportError::Write { path: path.to_owned(), source }),
        }
    }
}

/// Numbers as the shortest text that reads back to the same bits.
fn add_lines(csv: &mut impl Write, symbol: &Symbol, series: &CandleSeries) -> io::Result<()> {
    for c in series.candles() {
        writeln!(
            csv,
            "{symbol},{},{},{},{},{},{},{},{},{},{},{}",
            c.open_time_ms,
            c.open,
            c.high,
            c.low,
            c.close,
            c.volume,
            c.close_time_ms,
            c.quote_volume,
            c.trade_count,
            c.taker_buy_volume,
            c.taker_buy_quote_volume
        )?;
    }
    Ok(())
}

fn add_groups(
    writer: &mut SerializedFileWriter<File>,
    symbol: &Symbol,
    series: &CandleSeries,
) -> Result<(), ParquetError> {
    let rows: Vec<candles::Candle> = series.candles().collect();
    let name = ByteArray::from(symbol.as_str());
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = writer.next_row_group()?;
        let names = vec![name.clone(); rows.len()];
        let integers: [fn(&candles::Candle) -> i64; 3] =
            [|c| c.open_time_ms, |c| c.close_time_ms, |c| i64::try_from(c.trade_count).unwrap_or(i64::MAX)];
        let doubles: [fn(&candles::Candle) -> f64; 8] = [
            |c| c.open,
            |c| c.high,
            |c| c.low,
            |c| c.close,
            |c| c.volume,
            |c| c.quote_volume,
            |c| c.taker_buy_volume,
            |c| c.taker_buy_quote_volume,
        ];
        let (mut integers, mut doubles) = (integers.iter(), doubles.iter());
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                parquet::column::writer::ColumnWriter::ByteArrayColumnWriter(_) => {
                    column.typed::<ByteArrayType>().write_batch(&names, None, None)?;
                }
                parquet::column::writer::ColumnWriter::Int64ColumnWriter(_) => {
                    let of = integers.next().ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
                    let values: Vec<i64> = rows.iter().map(of).collect();
                    column.typed::<Int64Type>().write_batch(&values, None, None)?;
                }
                _ => {
                    let of = doubles.next().ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
                    let values: Vec<f64> = rows.iter().map(of).collect();
                    column.typed::<DoubleType>().write_batch(&values, None, None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
    }
    Ok(())
}
