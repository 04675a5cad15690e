//! A corpus of odd archives, by seed: what an exchange has published since 2017, and what lies about beside it.
//!
//! Each file comes with what must become of it: the candles that are in it, computed from whole numbers and not from the
//! text that is written, and the lines that are no candles; or the reason why it is refused as a whole.

use crate::support::{zip_at, zip_with};
use candles::{Candle, CandleSeries, Interval, MarketKind, interval};
use chrono::NaiveDate;
use genome::random::Seed;
use rand::RngExt;
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::path::Path;

const HEADER: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,\
                      taker_buy_quote_volume,ignore";
/// Prices and volumes are whole numbers of this part.
const UNIT: f64 = 1e8;

/// What must become of a file.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// These candles are taken, and these lines refused.
    Taken { series: Box<CandleSeries>, refused_lines: Vec<u64> },
    /// It is refused, with these words in the reason.
    Refused(&'static str),
}

/// A file of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Odd {
    pub(crate) market: Option<MarketKind>,
    /// Directory below the root.
    pub(crate) dir: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The checksum file beside it, if there is one.
    pub(crate) checksum: Option<String>,
    pub(crate) expected: Expected,
}

impl Odd {
    /// Writes it and its checksum file.
    pub(crate) fn write(&self, root: &Path) {
        let dir = root.join(self.dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&self.name), &self.bytes).unwrap();
        if let Some(checksum) = &self.checksum {
            std::fs::write(dir.join(format!("{}.CHECKSUM", self.name)), checksum).unwrap();
        }
    }
}

/// A row in whole numbers: open time in ms, prices and volumes in units of 1e-8.
#[derive(Clone, Debug)]
struct Row {
    open_ms: i64,
    close_ms: i64,
    values: [u64; 8],
    trades: u64,
}

impl Row {
    /// As it is written. `ticks` to the ms; a close time ends one tick before the next candle.
    fn text(&self, ticks: i64) -> String {
        let decimal = |n: u64| format!("{}.{:08}", n / 100_000_000, n % 100_000_000);
        let [open, high, low, close, volume, quote, taker, taker_quote] = self.values.map(decimal);
        let (from, to) = (self.open_ms * ticks, (self.close_ms + 1) * ticks - 1);
        format!("{from},{open},{high},{low},{close},{volume},{to},{quote},{},{taker},{taker_quote},0", self.trades)
    }

    /// The candle: each value is the nearest to its decimals, since a whole number divided by a power of ten is.
    fn candle(&self, interval: Interval) -> Candle {
        let [open, high, low, close, volume, quote_volume, taker, taker_quote] = self.values.map(|n| n as f64 / UNIT);
        Candle {
            open_time_ms: self.open_ms,
            open,
            high,
            low,
            close,
            volume,
            close_time_ms: interval::close_time_ms(interval, self.open_ms),
            quote_volume,
            trade_count: self.trades,
            taker_buy_volume: taker,
            taker_buy_quote_volume: taker_quote,
        }
    }
}

/// A file in the making.
struct File {
    symbol: String,
    interval: Interval,
    market: MarketKind,
    /// `2021-03`, or `2021-03-04`.
    date: String,
    rows: Vec<Row>,
    ticks: i64,
    header: bool,
    seed: Seed,
}

impl File {
    /// Rows of a whole month or, of short candles, of a day, at a random time of these years.
    fn new(seed: Seed, place: u64) -> Self {
        let mut random = seed.stream("corpus", place);
        let all = [Interval::M1, Interval::M5, Interval::M15, Interval::M30, Interval::H1, Interval::H4, Interval::D1];
        let interval = all[random.random_range(0..all.len())];
        let market = if random.random_bool(0.3) { MarketKind::Um } else { MarketKind::Spot };
        let first_year = if market == MarketKind::Um { 2020 } else { 2018 };
        let (year, month) = (random.random_range(first_year..=2026), random.random_range(1..=12));
        let day = NaiveDate::from_ymd_opt(year, month, random.random_range(1..=28)).unwrap();
        let is_daily = interval < Interval::M15;
        let first = if is_daily { day } else { NaiveDate::from_ymd_opt(year, month, 1).unwrap() };
        let from_ms = first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        let span = if is_daily { Interval::D1 } else { Interval::Mo1 };
        let to_ms = interval::next_open_time_ms(span, from_ms);
        let date = first.format(if is_daily { "%Y-%m-%d" } else { "%Y-%m" }).to_string();
        // From a fraction of a cent to a hundred thousand.
        let mut price: u64 = 10_u64.pow(random.random_range(3..13));
        let mut rows = Vec::new();
        let mut open_ms = from_ms;
        while open_ms < to_ms {
            let next_ms = interval::next_open_time_ms(interval, open_ms);
            let mut step = || price / 1_000 * random.random_range(0..20) / 10 + random.random_range(0..3);
            let (up, down, high, low) = (step(), step(), step(), step());
            let close = (price + up).saturating_sub(down).max(10);
            let volume = random.random_range(1..1_000_000_000_u64);
            let quote = random.random_range(1..1_000_000_000_000_u64);
            let (top, bottom) = (price.max(close) + high, price.min(close).saturating_sub(low).max(5));
            let values = [price, top, bottom, close, volume, quote, volume / 2, quote / 2];
            rows.push(Row { open_ms, close_ms: next_ms - 1, values, trades: random.random_range(1..5_000) });
            (price, open_ms) = (close, next_ms);
        }
        let ticks = if market == MarketKind::Spot && year >= 2025 { 1_000 } else { 1 };
        let header = market == MarketKind::Um && year >= 2023;
        Self {
            symbol: format!("ODD{place}USDT"),
            interval,
            market,
            date,
            rows,
            ticks,
            header,
            seed: seed.child("few", place),
        }
    }

    fn stem(&self) -> String {
        let interval = if self.interval == Interval::Mo1 { "1mo" } else { self.interval.name() };
        format!("{}-{interval}-{}", self.symbol, self.date)
    }

    fn dir(&self) -> &'static str {
        match self.market {
            MarketKind::Spot => "data/spot/klines",
            MarketKind::Um => "data/futures/um/klines",
        }
    }

    fn lines(&self) -> Vec<String> {
        let header = self.header.then(|| HEADER.to_owned());
        header.into_iter().chain(self.rows.iter().map(|row| row.text(self.ticks))).collect()
    }

    fn series(&self) -> Box<CandleSeries> {
        let rows: Vec<Candle> = self.rows.iter().map(|row| row.candle(self.interval)).collect();
        Box::new(CandleSeries::from_candles(self.interval, &rows).unwrap())
    }

    /// The line of a row in the file, from 1.
    fn line_of(&self, row: usize) -> u64 {
        row as u64 + 1 + u64::from(self.header)
    }

    /// A few rows that are neither the first nor the last: one in fifty, and at least one.
    fn few(&self) -> Vec<usize> {
        let (n, mut random) = (self.rows.len(), self.seed.stream("rows", 0));
        let mut few: Vec<usize> = (0..(n / 50).max(1)).map(|_| random.random_range(1..n - 1)).collect();
        few.sort_unstable();
        few.dedup();
        few
    }

    /// The archive of these lines, with its checksum.
    fn archive(&self, lines: &[String], expected: Expected) -> Odd {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        self.zip(&zip_with(&format!("{}.csv", self.stem()), text.as_bytes()), expected)
    }

    fn zip(&self, bytes: &[u8], expected: Expected) -> Odd {
        let name = format!("{}.zip", self.stem());
        let checksum = Some(format!("{}  {name}\n", hex::encode(Sha256::digest(bytes))));
        Odd { market: Some(self.market), dir: self.dir(), name, bytes: bytes.to_vec(), checksum, expected }
    }

    fn taken(&self) -> Odd {
        self.archive(&self.lines(), Expected::Taken { series: self.series(), refused_lines: Vec::new() })
    }

    /// The archive as it is, where these rows of `lines` are refused.
    fn but(mut self, lines: &[String], refused: &[usize]) -> Odd {
        let refused_lines = refused.iter().map(|row| self.line_of(*row)).collect();
        let mut row = 0;
        self.rows.retain(|_| {
            row += 1;
            !refused.contains(&(row - 1))
        });
        let expected = Expected::Taken { series: self.series(), refused_lines };
        self.archive(lines, expected)
    }

    fn refused(&self, lines: &[String], why: &'static str) -> Odd {
        self.archive(lines, Expected::Refused(why))
    }
}

type Make = fn(File) -> Odd;

/// One of each kind.
const KINDS: [Make; 41] = [
    // As it should be, and the ways of writing that there have been.
    |f| f.taken(),
    |f| File { symbol: f.symbol.replace("ODD", "1000SHIB"), ..f }.taken(),
    |f| File { symbol: f.symbol.replace("ODD", "1INCH"), ..f }.taken(),
    |f| File { symbol: f.symbol.trim_start_matches("ODD").to_owned(), ..f }.taken(),
    |f| File { header: !f.header, ..f }.taken(),
    |f| File { ticks: 1_001 - f.ticks, ..f }.taken(),
    |f| {
        let lines = f.lines();
        let text = format!("\u{feff}{HEADER}\r\n{}\r\n\r\n", lines[usize::from(f.header)..].join("\r\n"));
        let zip = zip_with(&format!("{}.csv", f.stem()), text.as_bytes());
        f.zip(&zip, Expected::Taken { series: f.series(), refused_lines: Vec::new() })
    },
    |f| {
        let lines: Vec<String> = f.lines().iter().map(|l| l.trim_end_matches(",0").to_owned()).collect();
        f.archive(&lines, Expected::Taken { series: f.series(), refused_lines: Vec::new() })
    },
    |f| {
        // The unit changes within a file.
        let (header, half) = (usize::from(f.header), f.rows.len() / 2);
        let mut lines = f.lines();
        for (i, row) in f.rows.iter().enumerate() {
            lines[i + header] = row.text(if i < half { 1 } else { 1_000 });
        }
        f.archive(&lines, Expected::Taken { series: f.series(), refused_lines: Vec::new() })
    },
    |f| {
        let mut lines = f.lines();
        let last = lines.len() - 1;
        lines[last] = lines[last].replace(".00000000", "").replace(",0.", ",.");
        f.archive(&lines, Expected::Taken { series: f.series(), refused_lines: Vec::new() })
    },
    // Halts, listings, delistings, hours without a trade.
    |mut f| {
        let n = f.rows.len();
        f.rows.drain(n / 3..n / 3 + n / 10 + 1);
        f.taken()
    },
    |mut f| {
        let n = f.rows.len();
        f.rows.drain(n / 2 + 1..n / 2 + 3);
        // The candle before a halt is closed early.
        f.rows[n / 2].close_ms -= f.interval.fixed_ms().unwrap() / 3;
        f.taken()
    },
    |mut f| {
        let n = f.rows.len();
        f.rows.drain(..n / 2);
        f.taken()
    },
    |mut f| {
        let n = f.rows.len();
        f.rows.truncate(n / 2);
        f.rows[n / 2 - 1].close_ms -= f.interval.fixed_ms().unwrap() / 2;
        f.taken()
    },
    |mut f| {
        let n = f.rows.len();
        for row in &mut f.rows[n / 2..n / 2 + 3] {
            let price = row.values[0];
            (row.values, row.trades) = ([price, price, price, price, 0, 0, 0, 0], 0);
        }
        f.taken()
    },
    // Rows that are no candles of the file.
    |f| {
        let few = f.few();
        let mut lines = f.lines();
        for row in &few {
            lines[f.line_of(*row) as usize - 1] =
                Row { open_ms: f.rows[*row].open_ms + 17_000, ..f.rows[*row].clone() }.text(f.ticks);
        }
        f.but(&lines, &few)
    },
    |f| {
        let few = f.few();
        let mut lines = f.lines();
        for row in &few {
            lines[f.line_of(*row) as usize - 1] =
                Row { open_ms: f.rows[*row].open_ms + 3, ..f.rows[*row].clone() }.text(f.ticks);
        }
        f.but(&lines, &few)
    },
    |f| {
        let few = f.few();
        let mut lines = f.lines();
        for row in &few {
            lines[f.line_of(*row) as usize - 1] =
                Row { close_ms: f.rows[*row].close_ms + 2, ..f.rows[*row].clone() }.text(f.ticks);
        }
        f.but(&lines, &few)
    },
    |f| {
        // The same row again, right after itself.
        let row = f.few()[0];
        let mut lines = f.lines();
        let at = f.line_of(row) as usize;
        lines.insert(at, lines[at - 1].clone());
        let expected = Expected::Taken { series: f.series(), refused_lines: vec![at as u64 + 1] };
        f.archive(&lines, expected)
    },
    |f| {
        // The first candle of the next month.
        let last = f.rows.last().unwrap();
        let next = Row { open_ms: last.close_ms + 1, close_ms: last.close_ms + 60_000, ..last.clone() };
        let mut lines = f.lines();
        lines.push(next.text(f.ticks));
        let expected = Expected::Taken { series: f.series(), refused_lines: vec![lines.len() as u64] };
        f.archive(&lines, expected)
    },
    |f| {
        let few = f.few();
        let mut lines = f.lines();
        for row in &few {
            let line = &mut lines[f.line_of(*row) as usize - 1];
            *line = line.replacen(',', ",-", 1);
        }
        f.but(&lines, &few)
    },
    |f| {
        let row = f.few()[0];
        let mut lines = f.lines();
        let at = f.line_of(row) as usize - 1;
        lines[at] = lines[at].split(',').take(5).collect::<Vec<_>>().join(",");
        f.but(&lines, &[row])
    },
    |f| {
        let row = f.few()[0];
        let mut lines = f.lines();
        let at = f.line_of(row) as usize - 1;
        let mut fields: Vec<&str> = lines[at].split(',').collect();
        fields[2] = "NaN";
        lines[at] = fields.join(",");
        f.but(&lines, &[row])
    },
    // Files that are not what they should be, as a whole.
    |f| {
        let rows = f.rows.iter().map(|row| Row { open_ms: row.open_ms + 7, ..row.clone() }.text(f.ticks));
        f.refused(&rows.collect::<Vec<_>>(), "too many to trust the others")
    },
    |f| {
        let rows = f.rows.iter().map(|row| row.text(1).replacen("000,", ",", 1));
        f.refused(&rows.collect::<Vec<_>>(), "neither in milliseconds nor in microseconds")
    },
    |f| {
        let rows = f.rows.iter().map(|row| row.text(1_000_000));
        f.refused(&rows.collect::<Vec<_>>(), "neither in milliseconds nor in microseconds")
    },
    |f| {
        let mut lines = f.lines();
        lines[usize::from(f.header)..].reverse();
        f.refused(&lines, "too many to trust the others")
    },
    |f| f.refused(&[], "it holds no candle"),
    |f| f.refused(&[HEADER.to_owned()], "it holds no candle"),
    |f| f.zip(b"", Expected::Refused("no whole zip archive")),
    |f| {
        let odd = f.taken();
        f.zip(&odd.bytes[..odd.bytes.len() * 2 / 3], Expected::Refused("no whole zip archive"))
    },
    |f| f.zip(b"<!DOCTYPE html><html>404</html>", Expected::Refused("an HTML page")),
    |f| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for part in ["a.csv", "b.csv"] {
            zip.start_file(part, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(f.lines().join("\n").as_bytes()).unwrap();
        }
        f.zip(&zip.finish().unwrap().into_inner(), Expected::Refused("it holds 2 files"))
    },
    |f| {
        let checksum = Some(format!("{}  {}.zip\n", "0".repeat(64), f.stem()));
        Odd { checksum, expected: Expected::Refused("its checksum file says 000"), ..f.taken() }
    },
    |f| Odd { checksum: None, ..f.taken() },
    |f| {
        // Renamed: the archive has the new name, the CSV in it the old one.
        let csv = f.lines().join("\n");
        let zip = zip_at(&format!("OLD{}.csv", f.stem()), csv.as_bytes(), 2022);
        f.zip(&zip, Expected::Refused("the CSV inside is named OLD"))
    },
    |f| {
        let f = File { symbol: f.symbol.replace("ODD", "币安人生"), ..f };
        f.refused(&f.lines(), "cannot be kept")
    },
    |f| {
        let odd = f.taken();
        let name = odd.name.replacen(&format!("-{}-", f.interval), "-1s-", 1);
        Odd { name, checksum: None, expected: Expected::Refused("the interval \"1s\""), ..odd }
    },
    |f| {
        let odd = f.taken();
        let name = odd.name.replacen(&format!("-{}-", f.interval), "-aggTrades-", 1);
        Odd { name, checksum: None, expected: Expected::Refused("says aggTrades, not candles"), ..odd }
    },
    |f| {
        let f = File { symbol: f.symbol.replace("USDT", "USD_PERP"), ..f };
        Odd { dir: "data/futures/cm/klines", market: None, ..f.refused(&f.lines(), "its path says cm") }
    },
    |f| {
        let dir = "data/futures/um/monthly/premiumIndexKlines";
        Odd { dir, market: None, ..f.refused(&f.lines(), "premiumIndexKlines") }
    },
];

/// A corpus of every kind, `copies` of each.
pub(crate) fn corpus(seed: Seed, copies: u64) -> Vec<Odd> {
    let kinds = KINDS.len() as u64;
    (0..copies * kinds).map(|place| KINDS[(place % kinds) as usize](File::new(seed, place))).collect()
}
