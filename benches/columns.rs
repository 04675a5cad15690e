//! Series of the language over candles that another program gives, as exact bits: what `second-opinion/` beside it
//! compares with its own. Text in, text out; never reads a file and never computes anything itself.
//!
//! Standard input, line by line: `candles INTERVAL N`, then N lines `open_time_ms open high low close volume`; then any
//! number of lines `series TEXT`, each answered by one line: the value at each candle as 16 hexadecimal digits of its
//! binary form, `-` where it is undefined.

use candles::{Candle, CandleSeries, Interval, interval};
use engine::columns::compute_column;
use genome::{Rule, Series};
use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut candles = CandleSeries::new(Interval::M15);
    while let Some(line) = lines.next() {
        let line = line?;
        if let Some(text) = line.strip_prefix("series ") {
            writeln!(out, "{}", bits(&series(text)?, &candles)?)?;
            // The other program reads each answer before it asks on.
            out.flush()?;
        } else if let Some(head) = line.strip_prefix("candles ") {
            let (interval, count) = head.split_once(' ').ok_or("candles INTERVAL N")?;
            candles = CandleSeries::new(interval.parse()?);
            for _ in 0..count.parse()? {
                candles.push(&candle(candles.interval(), &lines.next().ok_or("too few candles")??)?)?;
            }
        } else {
            return Err(format!("neither candles nor a series: {line:?}").into());
        }
    }
    Ok(())
}

/// The series on the left of a condition, which is how people write one.
fn series(text: &str) -> Result<Series, Box<dyn Error>> {
    match format!("{text} > 0.5").parse()? {
        Rule::Condition(condition) => Ok(condition.left),
        _ => Err(format!("not one series: {text:?}").into()),
    }
}

fn candle(of: Interval, line: &str) -> Result<Candle, Box<dyn Error>> {
    let (time, prices) = line.split_once(' ').ok_or("a candle is a time and five numbers")?;
    let open_time_ms = time.parse()?;
    let numbers: Vec<f64> = prices.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [open, high, low, close, volume] = numbers[..] else {
        return Err(format!("a candle is a time and five numbers: {line:?}").into());
    };
    Ok(Candle {
        open_time_ms,
        open,
        high,
        low,
        close,
        volume,
        close_time_ms: interval::close_time_ms(of, open_time_ms),
        quote_volume: 0.0,
        trade_count: 0,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    })
}

fn bits(series: &Series, candles: &CandleSeries) -> Result<String, Box<dyn Error>> {
    let column = compute_column(series, candles, candles)?;
    let values = (0..column.len()).map(|i| column.get(i).map_or("-".to_owned(), |v| format!("{:016x}", v.to_bits())));
    Ok(values.collect::<Vec<_>>().join(" "))
}
