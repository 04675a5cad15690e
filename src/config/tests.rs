//! The layers, their order, and what is said when one is wrong.

use super::*;
use std::{collections::BTreeMap, fs};

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with_env(pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(&Inputs { env: env(pairs), working_dir: "/nonexistent".into(), ..Inputs::default() })
}

fn with_file(text: &str) -> (String, Result<Loaded, ConfigError>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    fs::write(&file, text).unwrap();
    let loaded = load(&Inputs { file: Some(file.clone()), working_dir: dir.path().into(), ..Inputs::default() });
    (file.display().to_string(), loaded)
}

#[test]
fn a_key_that_moved_says_where_to() {
    let (file, wrong) = with_file("[costs]\nfee_fraction = 0.0004\n");
    let said = wrong.map(|_| ()).unwrap_err().to_string();
    assert!(said.starts_with(&format!("bad value for costs.fee_fraction in {file}: it is set no more: ")), "{said}");
    assert!(said.contains("costs.spot_fee_fraction and costs.um_fee_fraction"), "{said}");
    let said = with_env(&[("SG__PORTFOLIO__UM_FEE_FRACTION", "0.0004")]).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("set costs.um_fee_fraction") && said.contains("SG__PORTFOLIO__UM_FEE_FRACTION"), "{said}");
}

#[test]
fn the_built_in_defaults_are_complete_and_agree_with_the_rooms() {
    let config = with_env(&[]).unwrap().config;
    assert_eq!(config.engine, engine::EngineConfig::default());
    assert_eq!(config.costs, engine::VenueCosts::default());
    let json = |market: &market::MarketConfig| serde_json::to_value(market).unwrap();
    assert_eq!(json(&config.market), json(&market::MarketConfig::default()));
    let (store, default) = (&config.store, store::StoreConfig::default());
    assert_eq!((store.pool_size, store.statement_timeout_s), (default.pool_size, default.statement_timeout_s));
    assert_eq!(store.data_dir, PathBuf::from("/nonexistent/sg-ai-data/postgres"));
    assert!(store.database_url.is_none() && store.postgres_bin.is_none() && store.audit_key.is_none());
    assert_eq!(config.lifecycle, lifecycle::Thresholds::default());
    assert_eq!(config.staying, lifecycle::EdgeDecayConfig::default());
    assert_eq!(config.search, search::SearchConfig::default());
    assert_eq!(config.daemon.generation_interval_s, 3600);
    assert_eq!(config.daemon.shadow_interval_s, 900);
    assert_eq!(config.daemon.followed_symbols(&config.daemon.symbols), config.daemon.symbols);
    assert!(config.notify.discord_webhook_url.is_none());
}

#[test]
fn every_key_is_set_by_its_general_variable() {
    let defaults = Settings::defaults().unwrap();
    for key in defaults.keys() {
        let mut settings = Settings::defaults().unwrap();
        let shown = settings.shown_json(key).unwrap();
        // The default again, as text: what matters is that the variable reaches its key.
        let text = match &shown {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => "/x".into(),
            serde_json::Value::Array(_) => "A,B".into(),
            serde_json::Value::Object(_) => settings.shown(key).unwrap(),
            other => other.to_string(),
        };
        let name = env_name(key);
        settings.overlay_env(&env(&[(&name, &text)])).unwrap();
        assert_eq!(settings.origin(key), Some(&Origin::Environment(name)), "{key}");
    }
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sg-ai.toml"), "[http]\nport = 1\nmax_body_kb = 7\n[log]\nlevel = \"warn\"\n").unwrap();
    let mut inputs = Inputs { working_dir: dir.path().into(), ..Inputs::default() };
    let loaded = load(&inputs).unwrap();
    assert_eq!((loaded.config.http.port, loaded.config.http.max_body_kb), (1, 7));
    assert_eq!(loaded.file, Some(dir.path().join("sg-ai.toml")));

    inputs.env = env(&[("SG__HTTP__PORT", "2"), ("SG_LOG_LEVEL", "debug")]);
    inputs.options = vec![("--log-level", "log.level", "trace".into())];
    let loaded = load(&inputs).unwrap();
    assert_eq!((loaded.config.http.port, loaded.config.log.level.as_str()), (2, "trace"));
    assert_eq!(loaded.settings.origin("log.level"), Some(&Origin::CommandLine("--log-level".into())));
}

#[test]
fn a_file_in_the_data_directory_is_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sg-ai.toml"), "http.port = 3\n").unwrap();
    let set = env(&[("SG_DATA_DIR", dir.path().to_str().unwrap())]);
    let loaded = load(&Inputs { env: set, working_dir: "/nonexistent".into(), ..Inputs::default() }).unwrap();
    assert_eq!((loaded.config.http.port, loaded.data_dir()), (3, dir.path()));
}

#[test]
fn errors_name_the_key_the_source_and_the_nearest_key() {
    let say = |result: Result<Loaded, ConfigError>| result.err().unwrap().to_string();
    let (file, wrong) = with_file("[daemon]\ngeneration_intervall_s = 5\n");
    let expected =
        format!("unknown key daemon.generation_intervall_s in {file}; did you mean daemon.generation_interval_s?");
    assert_eq!(say(wrong), expected);

    let (file, wrong) = with_file("[htpp]\nport = 5\n");
    assert_eq!(say(wrong), format!("unknown key htpp.port in {file}; did you mean http.port?"));

    let (file, wrong) = with_file("[http]\nport = \"x\"\n");
    assert_eq!(say(wrong), format!("bad value for http.port in {file}: expected a whole number, got text: \"x\""));

    let (file, wrong) = with_file("[http]\nport = 70000\n");
    assert!(say(wrong).starts_with(&format!("bad value for http.port in {file}: invalid value: integer `70000`")));

    let (file, wrong) = with_file("a = 1\nb = = 2\n");
    assert!(say(wrong).starts_with(&format!("{file}, line 2: ")));

    let unknown = say(with_env(&[("SG__HTTP__PROT", "1")]));
    assert_eq!(
        unknown,
        "unknown key SG__HTTP__PROT in environment variable SG__HTTP__PROT; did you mean SG__HTTP__PORT?"
    );

    let bad = say(with_env(&[("SG_GENERATION_INTERVAL", "soon")]));
    let expected = "bad value for daemon.generation_interval_s in environment variable SG_GENERATION_INTERVAL: \
                    expected a whole number, got text: \"soon\"";
    assert_eq!(bad, expected);

    let bad = say(with_env(&[("SG_BACKTEST_SYMBOLS", "BTCUSDT,no symbol")]));
    let start =
        "bad value for daemon.symbols in environment variable SG_BACKTEST_SYMBOLS: \"no symbol\" is not a symbol";
    assert!(bad.starts_with(start), "{bad}");

    let bad = say(with_env(&[("SG_BACKTEST_DAYS", "0")]));
    assert_eq!(
        bad,
        "bad value for daemon.backtest_days in environment variable SG_BACKTEST_DAYS: must be 1 to 36500, not 0"
    );
    let bad = say(with_env(&[("SG__LIFECYCLE__POLICY", "hope")]));
    assert!(bad.contains("lifecycle.policy") && bad.contains("hope"), "{bad}");
    let bad = say(with_env(&[("SG__PROTOCOL__NULL_EXCEEDANCES", "20")]));
    assert!(bad.contains("protocol.null_exceedances") && bad.contains("must be 1 to 19, not 20"), "{bad}");

    let missing = load(&Inputs { file: Some("/nonexistent/x.toml".into()), ..Inputs::default() });
    assert_eq!(say(missing), "cannot read the configuration file /nonexistent/x.toml");
}

#[test]
fn a_far_off_key_gets_no_suggestion() {
    let (file, wrong) = with_file("zzz = 1\n");
    assert_eq!(wrong.err().unwrap().to_string(), format!("unknown key zzz in {file}"));
}

#[test]
fn tables_that_are_one_value_are_replaced_as_a_whole() {
    let (_, loaded) = with_file("[costs]\nslippage = { model = \"atr\", fraction = 0.1 }\n");
    assert_eq!(loaded.unwrap().config.costs.slippage, engine::Slippage::Atr { fraction: 0.1 });
    let loaded = with_env(&[("SG__COSTS__SLIPPAGE", "{model = \"square_root\", coefficient = 0.2}")]).unwrap();
    assert_eq!(loaded.config.costs.slippage, engine::Slippage::SquareRoot { coefficient: 0.2 });
    let (file, wrong) = with_file("[costs]\nslippage = { model = \"magic\" }\n");
    let said = wrong.err().unwrap().to_string();
    assert!(said.starts_with(&format!("bad value for costs.slippage in {file}: ")), "{said}");
}

#[test]
fn lists_are_separated_by_commas_and_keep_their_type() {
    let set = [("SG__SEARCH__VARIATION__TIME_EXIT_BARS", "8, 96"), ("SHADOW_SYMBOLS", "btc/usdt, ETHUSDT,")];
    let config = with_env(&set).unwrap().config;
    assert_eq!(config.search.variation.time_exit_bars, (8, 96));
    assert_eq!(config.daemon.shadow_symbols, ["BTCUSDT".parse().unwrap(), "ETHUSDT".parse().unwrap()]);
    let wrong = with_env(&[("SG__SEARCH__VARIATION__TIME_EXIT_BARS", "8,soon")]).err().unwrap().to_string();
    assert!(wrong.contains("search.variation.time_exit_bars in environment variable SG__SEARCH__"), "{wrong}");
}

#[test]
fn empty_variables_count_as_not_set_and_unknown_ones_are_mentioned() {
    let loaded = with_env(&[("SG__HTTP__PORT", ""), ("SG_POPULATON_SIZE", "5"), ("PATH", "/bin")]).unwrap();
    assert_eq!(loaded.config.http.port, 8080);
    assert_eq!(loaded.warnings, ["environment variable SG_POPULATON_SIZE is not a setting of sg-ai and is ignored"]);
}

#[test]
fn secrets_are_neither_shown_nor_repeated_in_errors() {
    let hook = "https://discord.example/api/webhooks/1/s3cr3t";
    let loaded = with_env(&[("DISCORD_WEBHOOK_URL", hook)]).unwrap();
    assert_eq!(loaded.settings.shown("notify.discord_webhook_url").unwrap(), "\"***\"");
    assert_eq!(loaded.settings.shown_json("notify.discord_webhook_url").unwrap(), "***");
    assert!(!format!("{:?}", loaded.config).contains("s3cr3t"));
    let loaded = with_env(&[("DATABASE_URL", "postgresql://me:s3cr3t@db/x"), ("SG_AUDIT_KEY", "s3cr3t")]).unwrap();
    assert!(loaded.settings.keys().all(|key| !loaded.settings.shown(key).unwrap().contains("s3cr3t")));
    assert!(!format!("{:?}", loaded.config).contains("s3cr3t"));

    let bad = with_env(&[("SLACK_WEBHOOK_URL", "s3cr3t")]).err().unwrap().to_string();
    assert!(bad.contains("SLACK_WEBHOOK_URL") && !bad.contains("s3cr3t"), "{bad}");
    let (_, wrong) = with_file("[notify]\nslack_webhook_url = [\"s3cr3t\"]\n");
    let bad = wrong.err().unwrap().to_string();
    assert!(bad.contains("notify.slack_webhook_url") && !bad.contains("s3cr3t"), "{bad}");
}

#[test]
fn addresses_are_shown_without_their_users() {
    let addresses = [
        ("SG__MARKET__PROXY", "http://user:s3cr3t@proxy.example:3128"),
        ("SG__MARKET__SPOT_HOST", "https://s3cr3t@spot.example"),
        ("SG__MARKET__SOURCE", "http://user:s3cr3t@127.0.0.1:8900"),
        ("SG__STORE__ARCHIVE_URL", "s3://key:s3cr3t@bucket/archive"),
    ];
    let settings = with_env(&addresses).unwrap().settings;
    for key in settings.keys() {
        let shown = settings.shown(key).unwrap() + &settings.shown_json(key).unwrap().to_string();
        assert!(!shown.contains("s3cr3t"), "{key}: {shown}");
    }
    assert_eq!(settings.shown("market.proxy").unwrap(), "\"http://***@proxy.example:3128\"");
    for (name, wrong) in [
        ("SG__MARKET__STREAM_HOST", "http://user:s3cr3t@stream.example"),
        ("SG__HTTP__PORT", "http://user:s3cr3t@h"),
        ("SG__MARKET__CACHE_URL", "http://user:s3cr3t@bucket"),
    ] {
        let said = with_env(&[(name, wrong)]).err().unwrap().to_string();
        assert!(said.contains("***@") && !said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn the_data_directory_follows_customs() {
    let dir = |pairs: &[(&str, &str)], is_root| {
        load::default_data_dir(&Inputs { env: env(pairs), working_dir: "/w".into(), is_root, ..Inputs::default() })
    };
    assert_eq!(dir(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")], false), PathBuf::from("/x/sg-ai"));
    assert_eq!(dir(&[("HOME", "/h")], false), PathBuf::from("/h/.local/share/sg-ai"));
    assert_eq!(dir(&[("HOME", "")], false), PathBuf::from("/w/sg-ai-data"));
    assert_eq!(dir(&[("HOME", "/root")], true), PathBuf::from("/var/lib/sg-ai"));
}

#[test]
fn islands_are_read_and_refused_with_the_reason() {
    let of = |text: &str| with_env(&[("SG__DAEMON__ISLANDS", text)]).map(|loaded| loaded.config.daemon.islands);
    let found = of("majors:BTCUSDT+ETHUSDT,hourly:SOLUSDT:1h:42").unwrap();
    assert_eq!(
        (found[0].name.as_str(), found[0].symbols.len(), found[0].interval, found[0].seed),
        ("majors", 2, None, None)
    );
    assert_eq!((found[1].interval, found[1].seed), (Some(candles::Interval::H1), Some(42)));
    assert_eq!(of("").unwrap(), []);
    let book = of("book:*USDT:4h:7").unwrap().remove(0);
    assert_eq!((book.ranks.as_deref(), book.symbols.len(), book.seed), (Some("USDT"), 0, Some(7)));
    for (text, why) in [
        ("majors", "no symbols"),
        ("review:BTCUSDT", "taken"),
        ("Majors:BTCUSDT", "a-z"),
        ("a:BTCUSDT+BTCUSDT", "twice"),
        ("a:BTCUSDT:7m", "7m"),
        ("a:BTCUSDT:1h:x", "seed"),
        ("a:BTCUSDT:1h:1:1", "four parts"),
        ("a:BTCUSDT,a:ETHUSDT", "twice"),
        ("a:*", "quote asset"),
        ("a:*usdt", "quote asset"),
        ("a:*USDT+BTCUSDT", "quote asset"),
    ] {
        let error = of(text).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("islands"), "{text}: {error}");
    }
}

#[test]
fn a_table_of_instruments_that_is_none_is_blamed_on_its_setting_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("own.csv");
    let set = |text: &str| {
        fs::write(&table, text).unwrap();
        with_env(&[("SG__MARKET__INSTRUMENTS_FILE", table.to_str().unwrap())])
    };
    let header = "ticker,kind,first_candle_of_the_new,reason\n";
    let loaded = set(&format!("{header}XUSDT,exclude,,mine\n")).unwrap();
    assert_eq!(loaded.config.market.instruments().unwrap().lines().len(), 1);
    for (text, says) in [
        ("a,b\n".to_owned(), "line 1 of the instrument table: expected the header"),
        (format!("{header}XUSDT,cut,2022-31-05,\n"), "line 2 of the instrument table: `2022-31-05` is not a date"),
    ] {
        let said = set(&text).err().unwrap().to_string();
        assert!(said.contains("market.instruments_file") && said.contains(says), "{said}");
    }
    fs::remove_file(&table).unwrap();
    let said = with_env(&[("SG__MARKET__INSTRUMENTS_FILE", table.to_str().unwrap())]).err().unwrap().to_string();
    assert!(said.contains("market.instruments_file") && said.contains("own.csv"), "{said}");
}

#[test]
fn the_place_of_blobs_is_a_directory_a_bucket_or_a_daemon() {
    let of = |place: &str| with_env(&[("SG__WORK__BLOBS", place)]);
    for (place, daemon) in [
        ("", None),
        ("/srv/work", None),
        ("s3://bucket/work", None),
        ("http://daemon.example:8080", Some("http://daemon.example:8080/")),
        ("https://daemon.example/trade", Some("https://daemon.example/trade")),
    ] {
        let work = of(place).unwrap().config.work;
        assert_eq!(work.daemon().unwrap().map(String::from).as_deref(), daemon, "{place}");
    }
    for (place, why) in [
        ("http://", "is no address"),
        ("https://me:s3cr3t@daemon.example", "shows work.token"),
        ("https://daemon.example/?a=1", "ends with its path"),
        ("gs://bucket/work", "is no directory, s3://BUCKET[/PREFIX] or http(s)://DAEMON[:PORT]"),
    ] {
        let said = of(place).err().unwrap().to_string();
        assert!(said.contains("work.blobs") && said.contains(why) && !said.contains("s3cr3t"), "{place}: {said}");
    }
    let short = with_env(&[("SG_WORK_TOKEN", "s3cr3t")]).err().unwrap().to_string();
    assert!(short.contains("work.token") && !short.contains("s3cr3t"), "{short}");
}
