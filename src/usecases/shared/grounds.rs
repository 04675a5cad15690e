//! What a worker keeps of what items look at: candles of sessions, of optimisations, of books; and how much of it there may be at once: little else is as dear to read
//! again, and nothing else is as large.
//!
//! Where memory is limited, an item whose ground does not fit beside those under way waits for one of them to end.

use super::blobs::Blobs;
use crate::usecases::memory::{MemoryPlan, ground_bytes};
use crate::usecases::parts::Compute;
use engine::Engine;
use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, Notify};

/// Grounds that are kept at most, beside those that items are under way on.
const MOST: usize = 2;

/// Grounds that are kept, the one used last at the end.
#[derive(Clone, Default)]
pub(crate) struct Grounds {
    kept: Arc<Mutex<Vec<Arc<Known>>>>,
    use_of: Arc<Use>,
}

/// What items under way take beside their grounds.
#[derive(Default)]
struct Use {
    bytes: AtomicU64,
    items: AtomicU64,
    freed: Notify,
}

struct Known {
    digest: String,
    ground: Arc<dyn Any + Send + Sync>,
    bytes: u64,
    /// Items under way on it.
    items: AtomicU64,
}

/// A ground that an item is under way on; it makes room when it is dropped.
pub(crate) struct Held<T> {
    ground: Arc<T>,
    known: Arc<Known>,
    bytes: u64,
    use_of: Arc<Use>,
}

impl<T> Deref for Held<T> {
    type Target = Arc<T>;
    fn deref(&self) -> &Arc<T> {
        &self.ground
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.known.items.fetch_sub(1, Ordering::SeqCst);
        self.use_of.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.use_of.items.fetch_sub(1, Ordering::SeqCst);
        self.use_of.freed.notify_one();
    }
}

impl Grounds {
    /// The ground of a digest, fetched and unpacked once, for one item. `ranks` says whether it is a whole market.
    ///
    /// # Errors
    /// When it cannot be had, is not what it is taken for, or does not fit into the memory that there is.
    pub(crate) async fn hold<T: Any + Send + Sync, E: Into<anyhow::Error> + Send + 'static>(
        &self,
        digest: &str,
        (blobs, compute): (&Blobs, &Compute),
        read: impl FnOnce(&[u8], Arc<Engine>) -> Result<T, E> + Send + 'static,
        ranks: impl Fn(&T) -> bool,
    ) -> anyhow::Result<Held<T>> {
        // One after the other: whoever waits for room is served before whoever comes later.
        let mut kept = self.kept.lock().await;
        let known = match kept.iter().position(|one| one.digest == digest) {
            Some(at) => kept.remove(at),
            None => {
                let bytes = blobs.get(digest).await?;
                let size = ground_bytes(bytes.len() as u64);
                self.room(&mut kept, compute.memory, size, 0).await?;
                let engine = Arc::clone(&compute.engine);
                let ground: Arc<dyn Any + Send + Sync> =
                    Arc::new(compute.run(move || read(&bytes, engine)).await?.map_err(Into::into)?);
                Arc::new(Known { digest: digest.to_owned(), ground, bytes: size, items: AtomicU64::new(0) })
            }
        };
        kept.push(Arc::clone(&known));
        let ground = Arc::clone(&known.ground).downcast::<T>();
        let ground = ground.map_err(|_| anyhow::anyhow!("the blob {digest} was read as something else before"))?;
        let bytes = compute.memory.map_or(0, |plan| plan.item_bytes(known.bytes, ranks(&ground)));
        self.room(&mut kept, compute.memory, bytes, known.bytes).await?;
        known.items.fetch_add(1, Ordering::SeqCst);
        self.use_of.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.use_of.items.fetch_add(1, Ordering::SeqCst);
        while kept.len() > MOST && Self::forget_one(&mut kept) {}
        Ok(Held { ground, known, bytes, use_of: Arc::clone(&self.use_of) })
    }

    /// Makes room for so many bytes more, `kept_bytes` of the newest ground being there already.
    async fn room(
        &self,
        kept: &mut Vec<Arc<Known>>,
        memory: Option<MemoryPlan>,
        bytes: u64,
        kept_bytes: u64,
    ) -> anyhow::Result<()> {
        let Some(plan) = memory else { return Ok(()) };
        let room = plan.room_bytes();
        anyhow::ensure!(
            bytes + kept_bytes <= room,
            "it takes up to {} MB, and this worker has {} for what it searches (daemon.max_memory_mb); set it to {} or more, or \
             engine.cache_mb lower",
            (bytes + kept_bytes).div_ceil(1_000_000),
            plan.market_mb,
            plan.with_more_mb(bytes + kept_bytes - room)
        );
        loop {
            let grounds: u64 = kept.iter().map(|one| one.bytes).sum();
            if grounds + self.use_of.bytes.load(Ordering::SeqCst) + bytes <= room {
                return Ok(());
            }
            // The newest is the one that room is made for, unless that is still to come.
            let newest = if kept_bytes > 0 { kept.pop() } else { None };
            let forgot = Self::forget_one(kept);
            kept.extend(newest);
            if !forgot {
                self.use_of.freed.notified().await;
            }
        }
    }

    /// Drops the ground that nobody has used for longest; whether there was one.
    fn forget_one(kept: &mut Vec<Arc<Known>>) -> bool {
        let unused = kept.iter().position(|one| one.items.load(Ordering::SeqCst) == 0);
        unused.map(|at| kept.remove(at)).is_some()
    }

    /// Drops what no item is under way on, unless somebody is at it.
    pub(crate) fn forget(&self) {
        if let Ok(mut kept) = self.kept.try_lock() {
            while Self::forget_one(&mut kept) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Inputs, load};
    use candles::{Interval, MarketKind, Symbol, time::DAY_MS};
    use engine::{Engine, SymbolWindow, Terms, Window};
    use genome::random::Seed;
    use protocol::{Halves as _, PackedGround, RulesHalves, Split};
    use simulated::{MarketSpec, SimulatedMarket};
    use std::time::Duration;

    fn config(dir: &std::path::Path, set: &[(&str, &str)]) -> Config {
        let env = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&Inputs { env, working_dir: dir.into(), ..Inputs::default() }).unwrap().config
    }

    /// What a session on one symbol searches: so many days of quarters of an hour.
    fn packed(seed: u64, days: i64) -> Vec<u8> {
        let symbol: Symbol = "BTCUSDT".parse().unwrap();
        let start = 1_735_689_600_000;
        let spec = MarketSpec::noise(Seed(seed), start, std::slice::from_ref(&symbol));
        let market = SimulatedMarket::new(spec).unwrap();
        let cut = |from_ms, to_ms| {
            let candles = Arc::new(market.candles(&symbol, Interval::M15, start, to_ms).unwrap());
            let (market, symbol) = (MarketKind::Spot, symbol.clone());
            let (finer, funding) = (Vec::new(), Arc::from([]));
            let one = SymbolWindow {
                market,
                symbol,
                candles,
                finer,
                funding,
                readings: Arc::default(),
                across: Arc::default(),
            };
            Window::new(from_ms, to_ms, vec![one])
        };
        let (from, split) = (start + DAY_MS, start + days * DAY_MS);
        let split = Split::cut(cut, from, split, split + DAY_MS).unwrap();
        RulesHalves::new(split, Arc::new(Engine::default()), Terms::default()).packed().unwrap()
    }

    #[tokio::test]
    async fn grounds_stay_within_the_memory_that_there_is() {
        let dir = tempfile::tempdir().unwrap();
        // Nine tenths are 243 MB: 128 for the program, 16 for the cache, 99 for two slots; evaluating takes 32 in each.
        let limited = config(dir.path(), &[("SG__DAEMON__MAX_MEMORY_MB", "270"), ("SG__ENGINE__CACHE_MB", "16")]);
        let plan = MemoryPlan::of_worker(&limited, 1).unwrap().unwrap();
        assert_eq!(plan, MemoryPlan { limit_mb: 270, work_mb: 32, market_mb: 99 });
        let why = MemoryPlan::of_worker(&limited, 2).unwrap_err().to_string();
        assert!(
            why.contains("272 MB are needed") && why.contains("each of 2 slots") && why.contains("303 or more"),
            "{why}"
        );
        let blobs = Blobs::open(&limited, dir.path()).unwrap();
        let threads = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let compute = Compute { memory: Some(plan), ..Compute::of_work(Engine::default(), threads) };
        // 1,200 days, 115,200 candles: 9.2 MB as they travel, 11 in memory, 33 more and 32 while an item is under way.
        let (one, other) = (blobs.put(packed(1, 1_200)).await.unwrap(), blobs.put(packed(2, 1_200)).await.unwrap());
        let large = blobs.put(packed(3, 2_400)).await.unwrap();
        let grounds = Grounds::default();
        let held = async |digest: &str| {
            grounds.hold(digest, (&blobs, &compute), PackedGround::read, |ground| ground.ranked().is_some()).await
        };
        let first = held(&one).await.unwrap();
        assert_eq!((first.known.bytes / 1_000_000, first.bytes / 1_000_000), (11, 65));
        // A second item fits nowhere beside it, and waits for its end; then the first ground is still kept.
        let mut second = Box::pin(held(&other));
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut second).await.is_err());
        drop(first);
        let second = tokio::time::timeout(Duration::from_secs(30), second).await.unwrap().unwrap();
        assert_eq!(grounds.kept.lock().await.len(), 2);
        drop(second);
        // What never fits is said, with what would.
        let why = held(&large).await.err().unwrap().to_string();
        assert!(why.contains("takes up to 121 MB") && why.contains("has 99") && why.contains("set it to 294"), "{why}");
        grounds.forget();
        assert_eq!(grounds.kept.lock().await.len(), 0);
    }
}
