//! Features of media items that another program gives: what `second-opinion/media.py` beside it compares with its own.
//! Text in, text out; never reads a file.
//!
//! Standard input: a JSON object a line, as `POST /media/{id}/features` takes it. Each is answered by one line: the features
//! as a JSON object, or `{"field": ..., "problem": ...}` for an item that cannot be. The time is 0.

use media::{Features, Item};
use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let item: Item = serde_json::from_str(&line?)?;
        let answer = match item.check() {
            Ok(()) => serde_json::to_string(&Features::of(&item, 0))?,
            Err(invalid) => serde_json::json!({ "field": invalid.field, "problem": invalid.problem }).to_string(),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
