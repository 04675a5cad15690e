//! Model files: what is read, and what is refused with the key that is at fault.

use super::support::text;
use models::{KindSettings, ModelFile, Target};

#[test]
fn a_file_is_read_and_what_is_left_out_is_customary() {
    let file = ModelFile::parse("trend", &text("direction", "logistic")).unwrap();
    assert_eq!((file.target, file.horizon_candles, file.embargo_candles, file.seed), (Target::Direction, 3, 3, 1));
    assert_eq!(file.fit, KindSettings::Logistic { l2: 10.0 });
    assert!(file.names("S1USDT") && file.names("USDT") && !file.names("BTCBUSD"));
    let same = ModelFile::parse("trend", &text("direction", "logistic").replace("[fit]", "seed = 1\n[fit]")).unwrap();
    assert_eq!(same.digest(), file.digest(), "what is meant counts, not what is written");
    for other in [text("rank", "logistic"), text("direction", "trees"), text("direction", "logistic") + "l2 = 11\n"] {
        assert_ne!(ModelFile::parse("trend", &other).unwrap().digest(), file.digest());
    }
    assert_ne!(ModelFile::parse("other", &text("direction", "logistic")).unwrap().digest(), file.digest());
}

#[test]
fn a_universe_stands_in_place_of_symbols_or_beside_them() {
    let of = |keys: &str| {
        ModelFile::parse("best", &text("rank", "logistic").replace("symbols = [\"*USDT\"]", keys)).unwrap()
    };
    let file = of("universe = \"top 30 by quote_volume(30d), listed 60d\"");
    let universe = file.universe.unwrap();
    assert_eq!((universe.top, universe.volume_days, universe.listed_days), (30, 30, 60));
    assert!(file.names("BTCUSDT") && file.names("X") && file.named().is_none());
    assert_eq!(of("universe = \"top 30  by quote_volume(30d), listed 60d\"").digest(), file.digest());
    assert_eq!(of("universe = \"top 30 by quote_volume(30d), listed 60d\"\nsymbols = [\"*\"]").digest(), file.digest());
    assert_ne!(of("universe = \"top 31 by quote_volume(30d), listed 60d\"").digest(), file.digest());
    let some = of("universe = \"top 2 by quote_volume(30d)\"\nsymbols = [\"AUSDT\", \"BUSDT\", \"CUSDT\"]");
    assert!(some.named().is_none() && some.names("AUSDT") && !some.names("DUSDT"), "named and yet compared by volume");
}

#[test]
fn mistakes_are_told_with_their_key() {
    let good = text("direction", "logistic");
    let cases = [
        ("timeframe = \"4h\"", "timeframe = \"4x\"", "timeframe: \"4x\""),
        ("timeframe = \"4h\"", "timeframe = \"1w\"", "timeframe: 1w is longer"),
        ("timeframe = \"4h\"\n", "", "missing field `timeframe`"),
        ("[\"*USDT\"]", "[]", "symbols: name at least one"),
        ("[\"*USDT\"]", "[\"*US*\"]", "symbols: \"*US*\""),
        (
            "symbols = [\"*USDT\"]\n",
            "",
            "symbols: name at least one, such as \"BTCUSDT\" or \"*USDT\", or say a universe",
        ),
        ("symbols = [\"*USDT\"]", "universe = \"top 30\"", "universe: "),
        ("symbols = [\"*USDT\"]", "universe = \"top 1 by quote_volume(30d)\"", "universe: "),
        ("horizon_candles = 3", "horizon_candles = 0", "horizon_candles: 0 is not 1 to 1000"),
        ("horizon_candles = 3", "horizon_candles = -3", "horizon_candles"),
        ("horizon_candles = 3", "horizon = 3", "unknown field `horizon`"),
        ("train_days = 120", "train_days = 99999", "train_days: 99999"),
        ("\"roc(1)\"", "\"rocc(1)\"", "features: \"rocc(1)\""),
        ("\"roc(1)\"", "\"close\"", "features: close is a price"),
        ("\"roc(1)\"", "\"volume_sma(20)\"", "an amount of coins"),
        ("\"roc(1)\"", "\"rsi(14)\"", "rsi(14) is there twice"),
        ("\"roc(1)\"", "\"model(a)\"", "features: model(a) predicts"),
        ("\"roc(1)\"", "\"cs_rank(rsi(7))\"", "compares with other symbols"),
        ("\"roc(1)\"", "\"roc(1)@1h\"", "not made of whole 4h candles"),
        ("target = \"direction\"", "target = \"size\"", "unknown variant `size`"),
        ("[fit]", "min_move = nan\n[fit]", "min_move: NaN"),
        ("[fit]", "[fit]\nl3 = 1", "unknown field `l3`"),
        ("[fit]", "[fit]\nl2 = 0", "fit.l2: 0 is not"),
        ("kind = \"logistic\"", "kind = \"oracle\"", "unknown variant `oracle`"),
        ("kind = \"logistic\"", "kind = \"onnx\"\nfile = \"../x\"\nfitted_until = \"2020-01-01\"", "fit.file"),
        ("kind = \"logistic\"", "kind = \"onnx\"\nfile = \"x\"\nfitted_until = \"yesterday\"", "fit.fitted_until"),
    ];
    for (from, to, wanted) in cases {
        assert!(good.contains(from));
        let said = ModelFile::parse("trend", &good.replace(from, to)).unwrap_err().to_string();
        assert!(said.contains(wanted) && said.contains("trend"), "{to}: {said}");
    }
    let rank = good.replace("\"direction\"", "\"rank\"").replace("[fit]", "min_move = 1\n[fit]");
    assert!(ModelFile::parse("trend", &rank).unwrap_err().to_string().contains("min_move"));
    assert!(ModelFile::parse("Trend", &good).unwrap_err().to_string().contains("no name of a model"));
}

#[test]
fn what_is_not_built_in_is_told_with_the_way_to_build_it() {
    let trees = ModelFile::parse("trend", &text("direction", "trees")).unwrap();
    if !cfg!(feature = "trees") {
        let said = trees.kind(None).err().unwrap().to_string();
        assert!(said.contains("cargo build --release --features models"), "{said}");
    }
}
