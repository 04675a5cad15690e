//! The book in the daemon: its history is walked, then its life goes on by the same steps, and it is moved by what it shows.
//!
//! One block or a few days at a time, each stored before the next, so that whoever comes after a kill goes on where it was.
//! Decides nothing itself: [`book::course()`] does.

use super::book_setup::{BookSetup, differences, market_of};
use super::book_watch::{BookLimits, BookWatch, members_of};
use super::candle_source::CandleSource;
use super::parts::{Compute, Did, Process, Turn};
use super::ranked::RankedSpec;
use super::shared::{Sharing, block::BlockSearches};
use anyhow::Context as _;
use book::{Course, DayFigures, Netted, Proof, Rules, Traded, Walk, Walker};
use candles::time::DAY_MS;
use engine::ModelsUsed;
use lifecycle::{Check, DisableReason, State};
use notify::{Moved, Notice};
use portfolio::Panel;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use store::{BookBlock, BookDay, BookMove, BookRow, BookStep, NewBook};
use uuid::Uuid;

/// Candles before a history that a book looks back on, beside what a search looks at, days: listing, volume, look-backs.
const LISTING_DAYS: i64 = 90;

/// A walk, and what its book wanted in blocks that are over.
type Parts = (Walk, Vec<Netted>);

/// What is kept between activations; it only saves work.
struct Held {
    book_id: Uuid,
    revision: u64,
    /// The book's walk and its placebo's.
    walks: [Parts; 2],
}

/// Walks the book.
pub(crate) struct BookRunner {
    candles: CandleSource,
    compute: Compute,
    process: Process,
    setup: BookSetup,
    turn: Turn,
    held: Option<Held>,
    watch: BookWatch,
    /// Where null searches are shared with workers.
    sharing: Option<Sharing>,
    /// That it rests was said.
    said: bool,
}

impl BookRunner {
    pub(crate) fn new(
        candles: CandleSource,
        compute: Compute,
        process: Process,
        setup: BookSetup,
        limits: BookLimits,
        sharing: Option<Sharing>,
    ) -> Self {
        let turn = Turn::new(&process.store, "book");
        let watch = BookWatch::new(process.store.clone(), compute.clone(), limits);
        Self { candles, compute, process, setup, turn, held: None, watch, sharing, said: false }
    }

    /// Goes on as far as there are candles.
    ///
    /// # Errors
    /// When there are no candles, the store does not answer, or a step cannot be computed.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.turn.hold().await? {
            self.held = None;
            return Ok(Did::StoodBy);
        }
        let Some(mut row) = self.running().await? else { return Ok(Did::Nothing) };
        let (market, of) = (self.setup.market, self.setup.of.clone());
        let (to_ms, _) = self.candles.refresh_market(market, &of.quote, of.interval, row.first_ms).await?;
        let until_ms = to_ms.div_euclid(DAY_MS) * DAY_MS;
        let mut did = Did::Nothing;
        // Whoever was here before may have been killed between a step and the move that follows from it.
        let is_of = |held: &Held| held.book_id == row.id && held.revision == row.revision;
        let mut is_decided = self.held.as_ref().is_some_and(is_of);
        let mut held = self.walks(&row).await?;
        if held.walks.iter().any(|(walk, _)| is_due(walk, until_ms)) {
            let real = Arc::new(market_of(&row, until_ms).load(self.candles.cached()).await?.panel);
            let (panel, seed) = (Arc::clone(&real), row.seed);
            let null = move || book::placebo(&panel, seed);
            let null = Arc::new(self.compute.run(null).await??);
            let mut began = None;
            for at in [0, 1] {
                let panel = if at == 0 { &real } else { &null };
                while is_due(&held.walks[at].0, until_ms) {
                    if self.process.stop.is_cancelled() {
                        return Ok(Did::Stopped);
                    }
                    (did, is_decided) = (Did::Work, false);
                    let pace = began.map(|(then, blocks): (Instant, usize)| {
                        then.elapsed().as_secs_f64() / (done(&held) - blocks).max(1) as f64
                    });
                    let _ = began.get_or_insert((Instant::now(), done(&held)));
                    held = self.step(&row, held, at, panel, (until_ms, pace)).await?;
                }
            }
        }
        row.revision = held.revision;
        if !is_decided && let Some(decided) = self.decide(&mut row, &held, until_ms).await? {
            if decided.moved {
                did = Did::Work;
            }
            let frozen_ms = held.walks[0].0.next().map_or(row.began_ms, |block| block.begin_ms);
            self.watch.size(&row, decided, frozen_ms, &self.turn.token()?).await?;
        }
        self.held = Some(held);
        Ok(did)
    }

    /// The book that runs; a new one where there is none of this pipeline. `None` where this pipeline has ended.
    async fn running(&mut self) -> anyhow::Result<Option<BookRow>> {
        let (store, identity) = (&self.process.store, self.setup.identity());
        let running = store.running_book().await?;
        if let Some(row) = &running {
            let others = differences(&row.identity, &identity);
            if others.is_empty() {
                return Ok(running);
            }
            let other = others.join(", ");
            tracing::warn!(ends = row.number, other, "another pipeline begins, with more to prove");
        } else if let Some(last) = store.book(None).await?
            && last.identity == identity
        {
            if !self.said {
                tracing::info!(book = last.number, "this pipeline has ended; other settings begin another one");
                self.said = true;
            }
            return Ok(None);
        }
        Ok(Some(self.begin().await?))
    }

    async fn begin(&self) -> anyhow::Result<BookRow> {
        let setup = &self.setup;
        let now_ms = self.candles.market_now_ms(setup.market, &[], setup.of.interval).await?;
        let looks_back_ms = (i64::from(setup.history_days) + i64::from(setup.book.search_days) + LISTING_DAYS) * DAY_MS;
        let first_ms = (now_ms - looks_back_ms).div_euclid(DAY_MS) * DAY_MS;
        let (to_ms, symbols) =
            self.candles.refresh_market(setup.market, &setup.of.quote, setup.of.interval, first_ms).await?;
        let began_ms = to_ms.div_euclid(DAY_MS) * DAY_MS;
        // History begins with the first day of candles, where there are fewer.
        let spec =
            RankedSpec::fixed((setup.market, &symbols, setup.of.interval), (first_ms, began_ms), ModelsUsed::default());
        let oldest_ms = spec.load(self.candles.cached()).await?.panel.opens_ms()[0];
        let oldest_ms = oldest_ms.div_euclid(DAY_MS) * DAY_MS;
        let from_ms = (began_ms - i64::from(setup.history_days) * DAY_MS).max(oldest_ms).min(began_ms);
        let fresh = Walk::endless(setup.seed, from_ms);
        let new = NewBook {
            id: Uuid::now_v7(),
            market: setup.market,
            interval: setup.of.interval,
            quote: setup.of.quote.clone(),
            identity: setup.identity(),
            seed: setup.seed,
            symbols,
            first_ms,
            from_ms,
            began_ms,
            walks: text(&[&fresh, &fresh])?,
        };
        let row = self.process.store.begin_book(&new, &self.turn.token()?).await?;
        let history_days = (began_ms - from_ms) / DAY_MS;
        tracing::info!(
            book = row.number,
            symbols = row.symbols.len(),
            history_days,
            "a book begins to walk its history"
        );
        Ok(row)
    }

    /// The walks as they are stored.
    async fn walks(&mut self, row: &BookRow) -> anyhow::Result<Held> {
        if let Some(held) = self.held.take().filter(|held| held.book_id == row.id && held.revision == row.revision) {
            return Ok(held);
        }
        let (revision, text) = self.process.store.book_walks(row.id).await?;
        let [real, placebo]: [Walk; 2] = serde_json::from_str(&text).with_context(|| {
            format!("the walks of book {} are of a program whose walks had another form", row.number)
        })?;
        // What was wanted is computed with the first step, where there are candles.
        Ok(Held { book_id: row.id, revision, walks: [(real, Vec::new()), (placebo, Vec::new())] })
    }

    /// One step of one walk, stored: a block frozen, or traded as far as there are candles.
    async fn step(
        &self,
        row: &BookRow,
        held: Held,
        at: usize,
        panel: &Arc<Panel>,
        (until_ms, seconds_a_block): (i64, Option<f64>),
    ) -> anyhow::Result<Held> {
        let Held { book_id, revision, mut walks } = held;
        let mut made = None;
        if let Some(sharing) = self.sharing.as_ref().filter(|_| walks[at].0.frozen().is_none()) {
            let (setup, panel) = (self.setup.clone(), Arc::clone(panel));
            let begun = move || {
                let walker = walker(&setup, &panel, walks[at].clone())?;
                let search = walker.block_search()?;
                walks[at] = walker.into_parts();
                Ok::<_, book::BookError>((walks, search))
            };
            let search;
            (walks, search) = self.compute.run(begun).await??;
            if let Some(search) = search {
                made = BlockSearches { sharing, compute: &self.compute, stop: &self.process.stop }.run(search).await?;
                if made.is_none() {
                    // Stopped: nothing was done.
                    return Ok(Held { book_id, revision, walks });
                }
            }
        }
        let (setup, panel, life_ms) = (self.setup.clone(), Arc::clone(panel), row.began_ms);
        let work = move || {
            let mut walks = walks;
            let before = walks[at].0.days().count();
            let mut walker = walker(&setup, &panel, walks[at].clone())?;
            let froze = if made.is_some() { walker.freeze_by(made)? } else { walker.freeze()? };
            if !froze {
                walker.trade(until_ms)?;
            }
            let is_newest = at == 0 && !is_due(walker.walk(), until_ms);
            let insight = if is_newest { walker.insight(life_ms)? } else { None };
            walks[at] = walker.into_parts();
            Ok::<_, book::BookError>((walks, before, insight))
        };
        let (walks, before, insight) = self.compute.run(work).await??;
        let walk = &walks[at].0;
        let days = walk.day_figures();
        let new = days[before..].iter().map(day);
        let blocks = blocks(walk, at == 1)?;
        let step = BookStep {
            book_id,
            revision,
            walks: text(&[&walks[0].0, &walks[1].0])?,
            standing: self.standing(row, &walks, until_ms, seconds_a_block),
            members: if at == 0 { members_of(walk) } else { Vec::new() },
            insight: insight.map(serde_json::to_value).transpose().context("an insight cannot be written")?,
            blocks,
            is_placebo: at == 1,
            days: new.collect(),
        };
        let revision = self.process.store.store_book_step(&step, &self.turn.token()?).await?;
        Ok(Held { book_id, revision, walks })
    }

    /// What is told of the book beside its blocks and days.
    fn standing(&self, row: &BookRow, walks: &[Parts; 2], until_ms: i64, seconds_a_block: Option<f64>) -> Value {
        let days = walks.each_ref().map(|(walk, _)| walk.day_figures());
        let proof = days.each_ref().map(|days| Proof::of(days, row.began_ms));
        let course = course_of(&days, self.setup.rules(row));
        let checks = book::requirements(&self.setup.book, row.number, &proof[0], Some(&proof[1]));
        let blocks = walks.each_ref().map(|(walk, _)| walk.blocks().len());
        // Months of history in both walks, less those that are over.
        let to_come = 2.0 * (until_ms - row.from_ms) as f64 / DAY_MS as f64 / 30.44;
        let left = (to_come - (blocks[0] + blocks[1]) as f64).max(0.0);
        json!({
            "until_ms": until_ms,
            "blocks": blocks[0],
            "placebo_blocks": blocks[1],
            "blocks_to_come": left.round(),
            "seconds_left": seconds_a_block.map(|each| (each * left).round()),
            "needed_log_e": book::needed_log_e(&self.setup.book, row.number),
            "proof": proof[0],
            "placebo_proof": proof[1],
            "figures": walks[0].0.figures(),
            "placebo_figures": walks[1].0.figures(),
            "requirements": checks,
            "decay": course.decay,
            "live_ms": course.live_ms,
            "left_ms": course.left_ms,
        })
    }

    /// Moves the book as its days say; `None` while its history is not walked.
    async fn decide(&self, row: &mut BookRow, held: &Held, until_ms: i64) -> anyhow::Result<Option<Decided>> {
        let whole = held.walks.iter().all(|(walk, _)| !is_due(walk, until_ms));
        if !whole || until_ms < row.began_ms {
            return Ok(None);
        }
        let mut moved = false;
        if row.state == State::Candidate {
            let summary =
                "Entered shadow: its history is walked, and what it trades from here on nobody could know".to_owned();
            self.carry_out(row, State::Shadow, summary, Vec::new(), row.began_ms).await?;
            moved = true;
        }
        let walks = [&held.walks[0].0, &held.walks[1].0];
        let (days, setup, known) = (walks.map(Walk::day_figures), self.setup.clone(), row.clone());
        let found = move || {
            let course = course_of(&days, setup.rules(&known));
            // As it was known when it went live.
            let at = course.live_ms.map(|live| {
                let proofs = days
                    .each_ref()
                    .map(|days| Proof::of(&days[..days.partition_point(|day| day.day_ms < live)], known.began_ms));
                book::requirements(&setup.book, known.number, &proofs[0], Some(&proofs[1]))
            });
            (course, at, days)
        };
        let (course, checks, [days, _]) = self.compute.run(found).await?;
        if let (State::Shadow, Some(live_ms)) = (row.state, course.live_ms) {
            let checks = checks.unwrap_or_default();
            let log_e = checks.first().and_then(|check| check.had).unwrap_or(f64::NAN);
            let summary = {
                let threshold = book::needed_log_e(&self.setup.book, row.number);
                format!("Promoted: ln E {log_e:.2}, threshold {threshold:.2}")
            };
            self.carry_out(row, State::Live, summary, checks, live_ms).await?;
            moved = true;
        }
        if let (State::Live, Some(left_ms)) = (row.state, course.left_ms) {
            let alarm = course.decay.iter().flat_map(|verdict| &verdict.readings).max_by_key(|reading| reading.level);
            let summary = alarm.map_or_else(
                || "Disabled: its edge has gone".to_owned(),
                |r| format!("Disabled: {} decay alarm {:.1} above {:.1}", r.detector, r.statistic, r.control_limit),
            );
            self.carry_out(row, State::Disabled, summary, Vec::new(), left_ms).await?;
            moved = true;
        }
        Ok(Some(Decided { moved, course, days }))
    }

    async fn carry_out(
        &self,
        row: &mut BookRow,
        to: State,
        summary: String,
        checks: Vec<Check>,
        at_market_ms: i64,
    ) -> anyhow::Result<()> {
        let reason = (to == State::Disabled).then_some(DisableReason::Deactivated);
        let told = Moved {
            strategy_id: row.id.to_string(),
            name: format!("book {} (*{} {})", row.number, row.quote, row.interval),
            text: String::new(),
            from: row.state,
            to,
            reason,
            summary: summary.clone(),
            checks: checks.clone(),
            market_time_ms: at_market_ms,
        };
        let notice = match to {
            State::Live => Some(Notice::Promotion(told)),
            State::Disabled => Some(Notice::Disabled(told)),
            State::Candidate | State::Shadow => None,
        };
        // A book makes one move at one market time: the key names the event for ever.
        let key = |notice: &Notice| format!("{}:{}:{at_market_ms}", notice.kind(), row.id);
        let events = notice.map(|n| n.events(&key(&n), &self.process.channels)).unwrap_or_default();
        let record = BookMove {
            id: Uuid::now_v7(),
            book_id: row.id,
            from: row.state,
            to,
            reason,
            summary,
            checks,
            actor: "book".to_owned(),
            at_market_ms,
            events,
        };
        self.process.store.move_book(&record, Some(&self.turn.token()?)).await?;
        tracing::info!(book = row.number, from = %row.state, %to, summary = record.summary, "the book moves");
        row.state = to;
        Ok(())
    }
}

/// What a book's days said of it.
pub(crate) struct Decided {
    /// Whether it was moved by that.
    moved: bool,
    pub(crate) course: Course,
    pub(crate) days: Vec<DayFigures>,
}

/// What becomes of a book; its placebo is asked as far as both are known.
fn course_of(days: &[Vec<DayFigures>; 2], rules: Rules<'_>) -> Course {
    let common = days[0].len().min(days[1].len());
    book::course(&days[0][..common], Some(&days[1][..common]), rules)
}

/// A walk on its market. What it wanted is computed again where that is not known.
fn walker<'a>(setup: &'a BookSetup, panel: &'a Panel, (walk, wanted): Parts) -> Result<Walker<'a>, book::BookError> {
    if wanted.is_empty() && !walk.blocks().is_empty() {
        return Walker::new(setup.pipeline(), panel, walk);
    }
    Ok(Walker::with(setup.pipeline(), panel, (walk, wanted)))
}

/// Whether there is a step to do with candles up to a midnight.
fn is_due(walk: &Walk, until_ms: i64) -> bool {
    let Some(next) = walk.next() else { return false };
    let traded = walk.open().map_or(0, |open| open.days.len() as i64) * DAY_MS;
    let freezes = walk.frozen().is_none() && next.begin_ms <= until_ms;
    freezes || walk.frozen().is_some() && next.begin_ms + traded < until_ms
}

/// Blocks that are over.
fn done(held: &Held) -> usize {
    held.walks.iter().map(|(walk, _)| walk.blocks().len()).sum()
}

/// Both walks as they are stored.
fn text(walks: &[&Walk; 2]) -> anyhow::Result<String> {
    serde_json::to_string(walks).context("a walk cannot be written")
}

/// The blocks that a step can have changed: the newest that is over, and the one that is not.
pub(crate) fn blocks(walk: &Walk, is_placebo: bool) -> anyhow::Result<Vec<BookBlock>> {
    let mut found = Vec::new();
    for traded in walk.blocks().last().into_iter().chain(walk.open()) {
        found.push(block(traded, is_placebo, walk.open().is_none_or(|open| open != traded))?);
    }
    if let (Some(frozen), None, Some(next)) = (walk.frozen(), walk.open(), walk.next()) {
        found.push(BookBlock {
            is_placebo,
            begin_ms: next.begin_ms,
            end_ms: next.end_ms,
            is_over: false,
            members: u32::try_from(frozen.members.len()).unwrap_or(u32::MAX),
            cash: frozen.cash.map(|cash| cash.to_string()),
            body: json!({
                "members": frozen.members, "luck": frozen.luck, "evaluated": frozen.evaluated,
                "distinct": frozen.distinct,
            }),
        });
    }
    Ok(found)
}

pub(crate) fn block(traded: &Traded, is_placebo: bool, is_over: bool) -> anyhow::Result<BookBlock> {
    let mut body = serde_json::to_value(traded).context("a block cannot be written")?;
    if let Some(fields) = body.as_object_mut() {
        // They have a table of their own.
        fields.remove("days");
    }
    Ok(BookBlock {
        is_placebo,
        begin_ms: traded.block.begin_ms,
        end_ms: traded.block.end_ms,
        is_over,
        members: u32::try_from(traded.members.len()).unwrap_or(u32::MAX),
        cash: traded.cash.map(|cash| cash.to_string()),
        body,
    })
}

pub(crate) fn day(day: &DayFigures) -> BookDay {
    BookDay {
        day_ms: day.day_ms,
        net: day.net,
        benchmark: day.benchmark,
        hedged: day.hedged,
        step: day.step,
        log_e: day.log_e,
        bet_log_e: day.bet_log_e,
    }
}
