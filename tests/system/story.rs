//! A strategy's life as the daemon would store it, computed from cached candles: searched, held out, in shadow, live.

pub(crate) use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol, Ticker};
use engine::{Costs, Engine, ExitReason, ModelsUsed, Outcome, Recipe, RunConfig, SymbolWindow, Terms, Wanted, Window};
use genome::{Strategy, random::Seed};
use lifecycle::{Check, Decision, Transition, Verdict, VersionStep};
use market::CandleCache;
use protocol::{Book, Did, Standing, StepBook};
use serde_json::json;
use std::sync::Arc;
use store::{
    CandidateRecord, Judgement, LeaseToken, NewPaperRun, NewSession, NewStrategy, PaperPass, Store, TransitionRecord,
    WindowStat,
};
use uuid::Uuid;

/// 2024-01-01.
pub(crate) const START_MS: i64 = 1_704_067_200_000;
const M15: Interval = Interval::M15;

pub(crate) const fn day(n: i64) -> i64 {
    START_MS + n * DAY_MS
}

/// A strategy on one symbol, whose candles begin on day 0.
pub(crate) struct Story<'a> {
    pub(crate) cache: &'a CandleCache,
    pub(crate) store: &'a Store,
    pub(crate) market: MarketKind,
    pub(crate) symbol: Symbol,
    pub(crate) name: &'a str,
    pub(crate) island: &'a str,
    pub(crate) genome: Strategy,
}

impl Story<'_> {
    pub(crate) fn config(&self) -> RunConfig {
        RunConfig {
            market: self.market,
            symbols: vec![self.symbol.clone()],
            interval: M15,
            costs: Costs::default(),
            initial_capital: 7_000.0,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_meaning: engine::MEANING,
            fill_on: engine::FillOn::NextOpen,
            ranked: None,
            models: ModelsUsed::default(),
        }
    }

    pub(crate) async fn window(&self, from_ms: i64, to_ms: i64) -> Window {
        let (market, symbol) = (self.market, self.symbol.clone());
        let candles = Arc::new(self.cache.load(&Ticker::of(market, &symbol), M15, START_MS, to_ms).await.unwrap());
        let funding = match market {
            MarketKind::Spot => Vec::new(),
            MarketKind::Um => self.cache.load_funding(&symbol, START_MS, to_ms).await.unwrap(),
        };
        let window = SymbolWindow {
            market,
            symbol,
            candles,
            finer: Vec::new(),
            funding: funding.into(),
            readings: Arc::default(),
            across: Arc::default(),
        };
        Window::new(from_ms, to_ms, vec![window]).unwrap()
    }

    pub(crate) async fn outcome(&self, from_ms: i64, to_ms: i64) -> Outcome {
        let terms = Terms { initial_capital: 7_000.0, costs: Costs::default(), ..Terms::default() };
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let window = self.window(from_ms, to_ms).await;
        Engine::default().evaluate(std::slice::from_ref(&self.genome), &window, &terms, wanted).pop().unwrap().unwrap()
    }

    /// Searched on days 10 to 30 (warmed up from day 0), held out to day 40, then in shadow.
    pub(crate) async fn begin(&self, token: &LeaseToken) -> Uuid {
        let spec = NewSession {
            island: self.island.to_owned(),
            number: 1,
            seed: Seed(1),
            config: json!({ "warmup_ms": 10 * DAY_MS }),
            symbols: vec![self.symbol.clone()],
            market: self.market,
            timeframe: M15,
            window_from_ms: day(10),
            holdout_from_ms: day(30),
            window_to_ms: day(40),
            data_version: self.window(day(10), day(40)).await.data_version(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let session = self.store.open_session(token, &spec).await.unwrap();
        let id = Uuid::now_v7();
        let strategy = NewStrategy {
            id,
            name: self.name.to_owned(),
            name_is_chosen: false,
            genome: self.genome.clone().into(),
            canonical: self.genome.to_string(),
            genome_hash: self.genome.hash().to_string(),
            kind: "evolved".to_owned(),
            step: VersionStep::Minor,
            parent_hashes: Vec::new(),
            generation: 3,
            island: Some(self.island.to_owned()),
            session_id: Some(session.id),
            symbols: vec![self.symbol.clone()],
            market: self.market,
            timeframe: M15,
            seen_until_ms: Some(day(40)),
            seen_is_stated: false,
            created_by: "search".to_owned(),
        };
        let recipe = Recipe { config: self.config(), warmup_from_ms: START_MS, data_to_ms: Some(day(40)) };
        let stat = async |from_ms, to_ms| {
            let outcome = self.outcome(from_ms, to_ms).await;
            let trades = outcome.ledger.unwrap().trades;
            Some(WindowStat { from_ms, to_ms, performance: outcome.performance, trades })
        };
        let judgement = Judgement {
            backtest: stat(day(10), day(30)).await,
            holdout: stat(day(30), day(40)).await,
            standing: Some(self.standing().await),
            holdout_results: None,
            transition: Some(self.moves(id, Transition::EnterShadow, day(40))),
            ..Judgement::nothing(recipe.into())
        };
        let candidate = CandidateRecord { strategy, judgement, untested: None };
        self.store.finish_session(token, session.id, &[candidate], &[], &learner::Scores::default()).await.unwrap();
        id
    }

    /// Where it stands by the candles that are cached now.
    pub(crate) async fn standing(&self) -> Standing {
        let (searched, holdout) = (self.outcome(day(10), day(30)).await, self.outcome(day(30), day(40)).await);
        let window = self.window(day(10), day(30)).await;
        let book = Book::Steps(StepBook::open(&self.genome.clone().into(), &searched.ledger.unwrap(), &window));
        let standing = Standing {
            p_value: Some(0.05),
            null_searches: 19,
            seen_until_ms: day(30),
            level: 0.01,
            shadow_level: 0.05,
            holdout: book.values(),
            holdout_days: Vec::new(),
            book,
        };
        standing.revised(&Did::Traded(holdout.ledger.unwrap(), Arc::new(self.window(day(30), day(40)).await)))
    }

    pub(crate) fn moves(&self, id: Uuid, transition: Transition, at_ms: i64) -> TransitionRecord {
        let check = Check { name: "made".into(), needed: ">= 1".into(), had: Some(7.0), passed: true };
        let summary = "meets every requirement".to_owned();
        let decision = Decision { verdict: Verdict::Move(transition), summary, checks: vec![check] };
        let mut record = TransitionRecord::from_decision(id, "made/1", decision, json!({}), "gate", at_ms).unwrap();
        record.run = Some(NewPaperRun { warmup_from_ms: START_MS, config: self.config() });
        record
    }

    /// Takes the open paper run, begun at `from_ms`, to `to_ms`.
    pub(crate) async fn pass(&self, token: &LeaseToken, id: Uuid, from_ms: i64, to_ms: i64) {
        let detail = self.store.strategy(&id.to_string()).await.unwrap();
        let run = detail.paper_runs.iter().find(|r| r.ended_at.is_none()).unwrap();
        let outcome = self.outcome(from_ms, to_ms).await;
        let ledger = outcome.ledger.unwrap();
        let closed: Vec<_> = ledger.trades.into_iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).collect();
        let pass = PaperPass {
            run_id: run.id,
            to_ms,
            data_version: Some(self.window(from_ms, to_ms).await.data_version()),
            performance: outcome.performance,
            closed_trades: u32::try_from(closed.len()).unwrap(),
            open_positions: json!([]),
            trades: closed,
            daily_equity: ledger.daily_equity,
            portfolio: None,
            progress: None,
        };
        self.store.record_paper_pass(token, &pass).await.unwrap();
    }
}
