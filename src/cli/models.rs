//! `sg-ai models`: which models there are, what they were fitted on, how good they were, and what they look at.

use super::{CliError, Context, format::minute, input::time_ms, output};
use crate::usecases::models::{Model, Predicted};
use anyhow::Context as _;
use candles::time::rfc3339;
use clap::{Args, Subcommand};
use comfy_table::CellAlignment;
use genome::ModelName;
use models::{Evaluation, FeatureImportance, Fit, KindSettings, Scores, Target, evaluate, importance};
use serde::Serialize;
use std::{fmt::Write as _, path::PathBuf};

/// Look at models that strategies may ask: fit them, score them, explain them
#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List the model files, and what is wrong with those that are none
    List {
        /// Print JSON, a list
        #[arg(long)]
        json: bool,
    },
    /// Fit a model over the cached candles, as each of them was known, and keep what it predicts
    Fit(OneArgs),
    /// Score a model's predictions against what came, by year, beside the constant forecast known before
    Evaluate(OneArgs),
    /// Tell what each feature is worth to a model, by year
    Explain(OneArgs),
    /// Write a model's features and targets as CSV, to fit a network of your own on them
    Examples(ExamplesArgs),
}

#[derive(Args, Debug)]
struct ExamplesArgs {
    #[command(flatten)]
    one: OneArgs,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args, Debug)]
struct OneArgs {
    /// The model: its file's name without the ending
    #[arg(value_name = "NAME")]
    name: ModelName,
    /// First prediction that counts: a date (UTC midnight) or a time [default: the first there is]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    from: Option<i64>,
    /// End, exclusive, of candles and predictions [default: the newest candle]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    to: Option<i64>,
    /// Print JSON, an object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    kind: Option<&'static str>,
    target: Option<Target>,
    timeframe: Option<String>,
    horizon_candles: Option<u32>,
    symbols: Vec<String>,
    universe: Option<String>,
    features: Vec<String>,
    digest: Option<String>,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Fitted {
    name: String,
    kind: &'static str,
    settings: KindSettings,
    symbols: usize,
    predictions: usize,
    until: String,
    fits: Vec<Fit>,
}

#[derive(Serialize)]
struct Evaluated {
    name: String,
    kind: &'static str,
    target: Target,
    symbols: usize,
    #[serde(flatten)]
    evaluation: Evaluation,
}

#[derive(Serialize)]
struct Exported {
    name: String,
    file: PathBuf,
    rows: usize,
    with_target: usize,
    columns: Vec<String>,
}

#[derive(Serialize)]
struct Explained {
    name: String,
    kind: &'static str,
    features: Vec<FeatureImportance>,
}

/// Runs `sg-ai models`.
///
/// # Errors
/// When a model is not there, its file is wrong, candles are missing, or this build has no such kind of model.
pub(crate) async fn run(args: ModelsArgs, ctx: &Context) -> Result<(), CliError> {
    match args.command {
        ModelsCommand::List { json } => list(json, ctx),
        ModelsCommand::Fit(args) => {
            let found = predicted(&args, ctx).await?;
            let fitted = Fitted {
                name: args.name.to_string(),
                kind: found.model.file.kind_name(),
                settings: found.model.file.fit.clone(),
                symbols: found.predictions.symbols.len(),
                predictions: found.predictions.symbols.iter().map(|s| s.points.len()).sum(),
                until: minute(found.predictions.until_ms),
                fits: found.predictions.fits,
            };
            print(args.json, &fitted, fit_lines)
        }
        ModelsCommand::Evaluate(args) => {
            let found = predicted(&args, ctx).await?;
            let evaluation = evaluate(&found.examples, &found.predictions, range(&args));
            let evaluated = Evaluated {
                name: args.name.to_string(),
                kind: found.model.file.kind_name(),
                target: found.model.file.target,
                symbols: found.predictions.symbols.iter().filter(|s| !s.points.is_empty()).count(),
                evaluation,
            };
            print(args.json, &evaluated, evaluation_lines)
        }
        ModelsCommand::Explain(args) => {
            let found = predicted(&args, ctx).await?;
            let kind = found.model.file.kind_name();
            let range_ms = range(&args);
            let work = tokio::task::spawn_blocking(move || importance(&found.walk(), range_ms));
            let features = work.await.context("the computation broke off")?.map_err(anyhow::Error::new)?;
            let explained = Explained { name: args.name.to_string(), kind, features };
            print(args.json, &explained, explained_lines)
        }
        ModelsCommand::Examples(args) => {
            let found = predicted(&args.one, ctx).await?;
            let exported = export(&found, &args).map_err(|e| e.context(args.out.display().to_string()))?;
            let lines = |e: &Exported| {
                format!("{} rows, {} of them with a target, in {}\n", e.rows, e.with_target, e.file.display())
            };
            print(args.one.json, &exported, lines)
        }
    }
}

/// Writes a row a symbol and close at which all features are there: symbol, close, features, and 1 or 0 where the target is known.
fn export(found: &Predicted, args: &ExamplesArgs) -> anyhow::Result<Exported> {
    let (file, range_ms) = (&found.model.file, range(&args.one));
    let features = file.features.iter().map(ToString::to_string);
    let columns: Vec<String> =
        ["symbol".to_owned(), "close".to_owned()].into_iter().chain(features).chain(["above".to_owned()]).collect();
    let mut writer = csv::Writer::from_path(&args.out)?;
    writer.write_record(&columns)?;
    let (mut rows, mut with_target) = (0, 0);
    for symbol in &found.examples.symbols {
        for (candle, &close_ms) in symbol.close_ms.iter().enumerate() {
            if !symbol.is_whole(candle) || !(range_ms.0..range_ms.1).contains(&close_ms) {
                continue;
            }
            let above = symbol.labels[candle].map(|above| if above { "1" } else { "0" });
            let values = symbol.features.iter().map(|column| column[candle].to_string());
            let close = rfc3339(close_ms).unwrap_or_default();
            let start = [symbol.name.clone(), close].into_iter();
            writer.write_record(start.chain(values).chain([above.unwrap_or_default().to_owned()]))?;
            (rows, with_target) = (rows + 1, with_target + usize::from(above.is_some()));
        }
    }
    writer.flush()?;
    Ok(Exported { name: args.one.name.to_string(), file: args.out.clone(), rows, with_target, columns })
}

fn range(args: &OneArgs) -> (i64, i64) {
    (args.from.unwrap_or(i64::MIN), args.to.unwrap_or(i64::MAX))
}

async fn predicted(args: &OneArgs, ctx: &Context) -> Result<Predicted, CliError> {
    let models = ctx.models()?;
    let model: Model = models.named(args.name).map_err(CliError::usage)?;
    let to_ms = args.to.unwrap_or_else(|| ctx.clock.now_ms());
    if args.from.is_some_and(|from_ms| from_ms >= to_ms) {
        return Err(CliError::Usage("--from must be before --to".into()));
    }
    Ok(models.predict(&model, (i64::MIN, to_ms)).await?)
}

fn print<T: Serialize>(json: bool, value: &T, lines: impl Fn(&T) -> String) -> Result<(), CliError> {
    let written = if json { output::json(value) } else { output::text(lines(value)) };
    Ok(written.context("standard output")?)
}

fn list(json: bool, ctx: &Context) -> Result<(), CliError> {
    let models = ctx.models()?;
    let listed: Vec<Listed> = models
        .all()?
        .into_iter()
        .map(|(name, model)| {
            let (file, problem) = match model {
                Ok(model) => {
                    // A kind that this build lacks is told here, not when a strategy asks.
                    let lacks =
                        matches!(model.file.fit, KindSettings::Trees { .. }).then(|| model.file.kind(None).err());
                    (Some(model.file), lacks.flatten().map(|e| e.to_string()))
                }
                Err(error) => (None, Some(format!("{error:#}"))),
            };
            let texts = |series: &[genome::Series]| series.iter().map(ToString::to_string).collect();
            Listed {
                kind: file.as_ref().map(models::ModelFile::kind_name),
                target: file.as_ref().map(|f| f.target),
                timeframe: file.as_ref().map(|f| f.timeframe.to_string()),
                horizon_candles: file.as_ref().map(|f| f.horizon_candles),
                symbols: file.as_ref().map(|f| f.symbols.clone()).unwrap_or_default(),
                universe: file.as_ref().and_then(|f| f.universe).map(|universe| universe.to_string()),
                features: file.as_ref().map(|f| texts(&f.features)).unwrap_or_default(),
                digest: file.as_ref().map(|f| f.digest().to_owned()),
                name,
                problem,
            }
        })
        .collect();
    let lines = |listed: &Vec<Listed>| {
        if listed.is_empty() {
            return format!("there is no model file in {}; docs/MODELS.md says what one is\n", models.dir.display());
        }
        let mut table = output::table();
        table.set_header(["name", "kind", "target", "candles", "horizon", "symbols", "features", "problem"]);
        for one in listed {
            table.add_row([
                one.name.clone(),
                one.kind.unwrap_or("-").to_owned(),
                one.target.map_or("-", |t| if t == Target::Rank { "rank" } else { "direction" }).to_owned(),
                one.timeframe.clone().unwrap_or_else(|| "-".to_owned()),
                one.horizon_candles.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                one.universe.clone().unwrap_or_else(|| one.symbols.join(" ")),
                one.features.len().to_string(),
                one.problem.clone().unwrap_or_default(),
            ]);
        }
        format!("{table}\n")
    };
    print(json, &listed, lines)
}

fn fit_lines(fitted: &Fitted) -> String {
    let failed = fitted.fits.iter().filter(|fit| fit.failed.is_some()).count();
    let mut text = format!(
        "{} ({}): {} predictions for {} symbols up to {}, from {} fits",
        fitted.name,
        fitted.kind,
        fitted.predictions,
        fitted.symbols,
        fitted.until,
        fitted.fits.len() - failed
    );
    let _ = match failed {
        0 => writeln!(text),
        _ => writeln!(text, "; {failed} more failed, and nothing is predicted until the next"),
    };
    let mut told = |what: &str, fit: Option<&Fit>| {
        let Some(fit) = fit else { return };
        let _ = match &fit.failed {
            Some(why) => writeln!(text, "{what} {}: {why}", minute(fit.at_ms)),
            None => writeln!(
                text,
                "{what} {}: {} examples, {:.1} % above the middle",
                minute(fit.at_ms),
                fit.examples,
                100.0 * fit.base.unwrap_or_default()
            ),
        };
    };
    told("first fit", fitted.fits.iter().find(|fit| fit.failed.is_none()));
    told("last fit ", fitted.fits.last());
    text
}

fn evaluation_lines(evaluated: &Evaluated) -> String {
    let Some(all) = &evaluated.evaluation.all else {
        return format!(
            "no prediction of {} has come due; `sg-ai models fit {}` tells of its fits\n",
            evaluated.name, evaluated.name
        );
    };
    let mut table = output::table();
    table.set_header([
        "year",
        "predictions",
        "above",
        "log loss",
        "constant",
        "gain",
        "t",
        "AUC",
        "Brier",
        "calibration error",
    ]);
    for column in 1..10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut row = |year: String, s: &Scores| {
        let or_none =
            |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
        table.add_row([
            year,
            s.predictions.to_string(),
            format!("{:.1} %", 100.0 * s.share),
            format!("{:.5}", s.log_loss),
            format!("{:.5}", s.base_log_loss),
            format!("{:+.5}", s.improvement),
            or_none(s.t, 2),
            or_none(s.auc, 4),
            format!("{:.4}", s.brier),
            format!("{:.4}", s.calibration_error),
        ]);
    };
    for (year, scores) in &evaluated.evaluation.years {
        row(year.to_string(), scores);
    }
    row("all".to_owned(), all);
    let mut text = format!("{} ({}), {} symbols\n{table}\n", evaluated.name, evaluated.kind, evaluated.symbols);
    text.push_str("said        came   predictions\n");
    for bin in &all.reliability {
        let (said, came) = (100.0 * bin.mean_probability, 100.0 * bin.share);
        let _ = writeln!(text, "{said:>6.1} % {came:>6.1} % {:>12}", bin.forecasts);
    }
    text.push_str(
        "gain: log loss of the constant forecast known before, less the model's. t: of its means of 30 days.\n",
    );
    text
}

fn explained_lines(explained: &Explained) -> String {
    let years: Vec<i64> = explained.features.first().map(|f| f.years.keys().copied().collect()).unwrap_or_default();
    let mut table = output::table();
    let header = ["feature".to_owned(), "all".to_owned()].into_iter().chain(years.iter().map(ToString::to_string));
    table.set_header(header.chain(["coefficient".to_owned()]));
    let mut features: Vec<&FeatureImportance> = explained.features.iter().collect();
    features.sort_by(|a, b| b.loss_rise.total_cmp(&a.loss_rise));
    for of in features {
        let mut row = vec![of.feature.clone(), format!("{:+.5}", of.loss_rise)];
        row.extend(
            years.iter().map(|year| of.years.get(year).map_or_else(|| "-".to_owned(), |rise| format!("{rise:+.5}"))),
        );
        row.push(of.coefficient.map_or_else(|| "-".to_owned(), |c| format!("{c:+.4}")));
        table.add_row(row);
    }
    format!(
        "{} ({})\n{table}\nby how much log loss rises where a feature's values trade places within a year; 0 is worth nothing\n",
        explained.name, explained.kind
    )
}
