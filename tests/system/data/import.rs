//! `sg-ai data` as a person or a script meets it.

use super::support::{APRIL_MS, csv_of, put, run, zip_of};
use candles::Interval;
use std::path::Path;
use std::process::{Command, Output};

fn sg_ai(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.env_clear().env("SG_DATA_DIR", dir.join("data")).current_dir(dir).args(["data"]).args(args);
    command.output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn import_list_and_verify_tell_what_there_is_and_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let good = zip_of(csv_of(&run(Interval::M15, APRIL_MS, 2_880, 1), 1).as_bytes());
    put(&dir.path().join("dumps"), "spot", "BTCUSDT-15m-2024-04.zip", &good);
    let imported = sg_ai(dir.path(), &["import", "dumps", "--json"]);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    assert_eq!(json(&imported)["added"], 2_880);

    let payments: String = (0..90).map(|n| format!("{},8,0.0001\n", APRIL_MS + n * 28_800_000)).collect();
    let funding = zip_of(format!("calc_time,funding_interval_hours,last_funding_rate\n{payments}").as_bytes());
    put(&dir.path().join("dumps"), "um/fundingRate", "BTCUSDT-fundingRate-2024-04.zip", &funding);
    put(&dir.path().join("dumps"), "um", "ETHUSDT-15m-2024-04.zip", &good[..500]);
    let partly = sg_ai(dir.path(), &["import", "dumps"]);
    assert_eq!(partly.status.code(), Some(1));
    let said = String::from_utf8(partly.stdout).unwrap();
    assert!(said.contains("ETHUSDT-15m-2024-04.zip: refused: it is no whole zip archive"), "{said}");

    let listed = json(&sg_ai(dir.path(), &["list", "--json", "--market", "spot"]));
    assert_eq!((&listed[0]["symbol"], &listed[0]["rows"]), (&"BTCUSDT".into(), &2_880.into()));
    assert_eq!(listed[0]["months"][0]["provenance"]["source"], "BTCUSDT-15m-2024-04.zip");
    let funding = &json(&sg_ai(dir.path(), &["list", "--json", "--market", "um"]))[0];
    assert_eq!(
        (&funding["symbol"], &funding["part"], &funding["rows"]),
        (&"BTCUSDT".into(), &"funding".into(), &90.into())
    );
    assert_eq!(funding["first_ms"], APRIL_MS);
    assert_eq!(funding["months"][0]["last_ms"], APRIL_MS + 89 * 28_800_000);
    let table = String::from_utf8(sg_ai(dir.path(), &["list"]).stdout).unwrap();
    assert!(table.contains("funding") && table.contains("2024-04-30"), "{table}");
    assert_eq!(json(&sg_ai(dir.path(), &["list", "--json", "--intervals", "15m"])).as_array().unwrap().len(), 1);
    let taken = String::from_utf8(sg_ai(dir.path(), &["snapshot", "first"]).stdout).unwrap();
    assert!(taken.contains("2 series, 2880 candles, 90 payments and readings"), "{taken}");
    assert_eq!(String::from_utf8(sg_ai(dir.path(), &["diff"]).stdout).unwrap(), "first and cache hold the same\n");
    assert_eq!(sg_ai(dir.path(), &["verify", "--html", "data.html"]).status.code(), Some(0));
    let page = std::fs::read_to_string(dir.path().join("data.html")).unwrap();
    assert!(page.contains("spot BTCUSDT 15m") && page.contains("2880 of 2880"), "{page}");

    std::fs::write(dir.path().join("data/candles/spot/BTCUSDT/15m/2024-04.parquet"), "gone").unwrap();
    let verified = sg_ai(dir.path(), &["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(json(&verified)[0]["fit_for_evidence"], false);
}

#[test]
fn a_wrong_request_ends_with_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let reversed = sg_ai(dir.path(), &["download", "--from", "2024-02-01", "--to", "2024-01-01"]);
    assert_eq!(reversed.status.code(), Some(2));
    assert_eq!(sg_ai(dir.path(), &["download", "--from", "yesterday"]).status.code(), Some(2));
}
