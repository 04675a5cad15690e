//! Rows of any table as Parquet bytes and back, losing nothing. Knows no table and touches no disk.
//!
//! Whole numbers are 64-bit, floating ones double, everything else is the text that Postgres prints for it. The same rows
//! always give the same bytes.

use crate::StoreError;
use bytes::Bytes;
use parquet::{
    basic::{Compression, ZstdLevel},
    column::reader::ColumnReader,
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a column is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Double,
    Text,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cells {
    Integer(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

impl Cells {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integer(Vec::new()),
            Kind::Double => Self::Double(Vec::new()),
            Kind::Text => Self::Text(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Integer(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// A value as COPY reads it: escaped, `\N` for NULL.
    pub(super) fn write_copy(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Integer(values) => out.extend(values[row].map_or("\\N".to_owned(), |v| v.to_string()).bytes()),
            Self::Double(values) => out.extend(values[row].map_or("\\N".to_owned(), |v| v.to_string()).bytes()),
            Self::Text(values) => match &values[row] {
                None => out.extend(b"\\N"),
                Some(text) => {
                    for byte in text.bytes() {
                        match byte {
                            b'\\' => out.extend(b"\\\\"),
                            b'\n' => out.extend(b"\\n"),
                            b'\r' => out.extend(b"\\r"),
                            b'\t' => out.extend(b"\\t"),
                            byte => out.push(byte),
                        }
                    }
                }
            },
        }
    }
}

/// SHA-256 over cells, to tell whether what was read is what was written.
pub(super) struct ContentHash(Sha256);

impl ContentHash {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn add(&mut self, group: &[Cells]) {
        let mut cell = |bytes: Option<&[u8]>| match bytes {
            None => self.0.update([0]),
            Some(bytes) => {
                self.0.update([1]);
                self.0.update((bytes.len() as u64).to_le_bytes());
                self.0.update(bytes);
            }
        };
        for cells in group {
            match cells {
                Cells::Integer(values) => {
                    values.iter().for_each(|v| cell(v.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice)))
                }
                Cells::Double(values) => values
                    .iter()
                    .for_each(|v| cell(v.map(|v| v.to_bits().to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice))),
                Cells::Text(values) => values.iter().for_each(|v| cell(v.as_deref().map(str::as_bytes))),
            }
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn wrong(error: ParquetError) -> StoreError {
    StoreError::Archive(format!("Parquet: {error}"))
}

fn foreign(what: &str) -> StoreError {
    StoreError::Archive(format!("it is not an archive of ours: {what}"))
}

/// Writes groups of rows.
pub(super) struct Writer {
    inner: SerializedFileWriter<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(columns: &[Column]) -> Result<Self, StoreError> {
        let field = |column: &Column| match column.kind {
            Kind::Integer => format!("optional int64 {};", column.name),
            Kind::Double => format!("optional double {};", column.name),
            Kind::Text => format!("optional binary {} (STRING);", column.name),
        };
        let fields: String = columns.iter().map(field).collect();
        let schema = parse_message_type(&format!("message rows {{ {fields} }}")).map_err(wrong)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(9).map_err(wrong)?))
            .set_created_by("sg-ai".to_owned())
            .build();
        let inner = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).map_err(wrong)?;
        Ok(Self { inner })
    }

    /// Columns of one length, in order.
    pub(super) fn group(&mut self, columns: &[Cells]) -> Result<(), StoreError> {
        fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
            values.iter().map(|value| i16::from(value.is_some())).collect()
        }
        let mut group = self.inner.next_row_group().map_err(wrong)?;
        for cells in columns {
            let mut column = group.next_column().map_err(wrong)?.ok_or_else(|| foreign("a column is missing"))?;
            match cells {
                Cells::Integer(values) => {
                    let there: Vec<i64> = values.iter().copied().flatten().collect();
                    column.typed::<Int64Type>().write_batch(&there, Some(&levels(values)), None).map_err(wrong)?;
                }
                Cells::Double(values) => {
                    let there: Vec<f64> = values.iter().copied().flatten().collect();
                    column.typed::<DoubleType>().write_batch(&there, Some(&levels(values)), None).map_err(wrong)?;
                }
                Cells::Text(values) => {
                    let there: Vec<ByteArray> =
                        values.iter().flatten().map(|text| ByteArray::from(text.as_bytes().to_vec())).collect();
                    column.typed::<ByteArrayType>().write_batch(&there, Some(&levels(values)), None).map_err(wrong)?;
                }
            }
            column.close().map_err(wrong)?;
        }
        group.close().map_err(wrong)?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, StoreError> {
        self.inner.into_inner().map_err(wrong)
    }
}

/// Reads groups of rows.
pub(super) struct Reader {
    inner: SerializedFileReader<Bytes>,
    pub(super) columns: Vec<Column>,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Result<Self, StoreError> {
        let inner = SerializedFileReader::new(bytes).map_err(wrong)?;
        let schema = inner.metadata().file_metadata().schema_descr_ptr();
        let column = |i: usize| {
            let column = schema.column(i);
            let kind = match column.physical_type() {
                parquet::basic::Type::INT64 => Kind::Integer,
                parquet::basic::Type::DOUBLE => Kind::Double,
                parquet::basic::Type::BYTE_ARRAY => Kind::Text,
                other => return Err(foreign(&format!("a column of type {other}"))),
            };
            Ok(Column { name: column.name().to_owned(), kind })
        };
        let columns = (0..schema.num_columns()).map(column).collect::<Result<_, _>>()?;
        Ok(Self { inner, columns })
    }

    pub(super) fn groups(&self) -> usize {
        self.inner.num_row_groups()
    }

    /// The columns of a group, in order.
    pub(super) fn group(&self, at: usize) -> Result<Vec<Cells>, StoreError> {
        let group = self.inner.get_row_group(at).map_err(wrong)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|_| foreign("a negative count of rows"))?;
        (0..self.columns.len())
            .map(|i| match group.get_column_reader(i).map_err(wrong)? {
                ColumnReader::Int64ColumnReader(mut column) => {
                    let (mut values, mut levels) = (Vec::new(), Vec::new());
                    column.read_records(rows, Some(&mut levels), None, &mut values).map_err(wrong)?;
                    Ok(Cells::Integer(spread(values.into_iter(), &levels, rows)?))
                }
                ColumnReader::DoubleColumnReader(mut column) => {
                    let (mut values, mut levels) = (Vec::new(), Vec::new());
                    column.read_records(rows, Some(&mut levels), None, &mut values).map_err(wrong)?;
                    Ok(Cells::Double(spread(values.into_iter(), &levels, rows)?))
                }
                ColumnReader::ByteArrayColumnReader(mut column) => {
                    let (mut values, mut levels) = (Vec::<ByteArray>::new(), Vec::new());
                    column.read_records(rows, Some(&mut levels), None, &mut values).map_err(wrong)?;
                    let text = |value: ByteArray| {
                        String::from_utf8(value.data().to_vec()).map_err(|_| foreign("a text that is none"))
                    };
                    let texts = values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
                    Ok(Cells::Text(spread(texts.into_iter(), &levels, rows)?))
                }
                _ => Err(foreign("a column of another type")),
            })
            .collect()
    }
}

/// Values at the places where there are any.
fn spread<T>(mut values: impl Iterator<Item = T>, levels: &[i16], rows: usize) -> Result<Vec<Option<T>>, StoreError> {
    if levels.len() != rows {
        return Err(foreign("a column that ends early"));
    }
    levels
        .iter()
        .map(
            |&level| {
                if level == 0 { Ok(None) } else { values.next().map(Some).ok_or_else(|| foreign("a value is missing")) }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let names = [("n", Kind::Integer), ("x", Kind::Double), ("t", Kind::Text)];
        let columns: Vec<_> = names.map(|(name, kind)| Column { name: name.to_owned(), kind }).into();
        let text = |t: &str| Some(t.to_owned());
        let groups = [
            vec![
                Cells::Integer(vec![Some(i64::MIN), None, Some(7)]),
                Cells::Double(vec![Some(0.1 + 0.2), Some(-0.0), None]),
                Cells::Text(vec![text("naïve\n\t\\N"), None, text("")]),
            ],
            vec![Cells::Integer(vec![None]), Cells::Double(vec![Some(5e-324)]), Cells::Text(vec![None])],
        ];
        let write = || {
            let mut writer = Writer::new(&columns).unwrap();
            groups.iter().for_each(|group| writer.group(group).unwrap());
            writer.finish().unwrap()
        };
        let bytes = write();
        assert_eq!(bytes, write(), "the same rows, the same bytes");
        let reader = Reader::new(bytes.clone().into()).unwrap();
        assert_eq!((&reader.columns, reader.groups()), (&columns, 2));
        let (mut written, mut read) = (ContentHash::new(), ContentHash::new());
        for (at, group) in groups.iter().enumerate() {
            let found = reader.group(at).unwrap();
            assert_eq!(&found, group);
            written.add(group);
            read.add(&found);
        }
        assert_eq!(written.finish(), read.finish());
        let mut line = Vec::new();
        groups[0][2].write_copy(0, &mut line);
        groups[0][2].write_copy(1, &mut line);
        groups[0][1].write_copy(0, &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), "naïve\\n\\t\\\\N\\N0.30000000000000004");
        assert!(Reader::new(bytes[..bytes.len() - 9].to_vec().into()).is_err());
    }
}
