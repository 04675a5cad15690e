//! Workers that share no directory with the daemon: what their searches look at comes over HTTP from the daemon, or from a bucket.
//! The same sessions to the bit, whoever is away in between; and what is refused.

use super::{
    process::{Daemon, wait_for},
    stage::Stage,
    support,
    work::{BY_WORKERS, count, nulls, session},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{Client, StatusCode};
use sha2::{Digest as _, Sha256};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{NewWork, WorkKind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const TOKEN: &str = "a token for workers";

/// A way to a daemon whose port changes with each start: closed at first, and cut as often as is asked for.
#[derive(Clone, Default)]
struct Way {
    to: Arc<Mutex<Option<SocketAddr>>>,
    cuts: Arc<AtomicUsize>,
}

impl Way {
    /// Opens it; its address.
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let way = way.clone();
                // Whoever ends a connection early is what this is for.
                tokio::spawn(async move { drop(way.carry(stream).await) });
            }
        });
        format!("http://{address}")
    }

    async fn carry(self, mut near: TcpStream) -> std::io::Result<()> {
        let Some(to) = *self.to.lock().unwrap() else { return Ok(()) };
        let mut far = TcpStream::connect(to).await?;
        if self.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            // All but the end of what comes first of an answer: its head, and some of its body.
            let mut bytes = vec![0; 4096];
            let asked = near.read(&mut bytes).await?;
            far.write_all(&bytes[..asked]).await?;
            let answered = far.read(&mut bytes).await?;
            return near.write_all(&bytes[..answered - 10]).await;
        }
        tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
    }
}

/// The session that all of them come to, by a daemon alone.
async fn alone() -> String {
    let mut stage = Stage::new(21, 0.0).await;
    nulls(&mut stage);
    stage.json(&["migrate", "--json"]);
    let daemon = stage.daemon("continuous");
    let client = stage.client().await;
    let digest = session(&client).await;
    daemon.stop().await;
    digest
}

/// Holds up a daemon once it has posted, until something has happened, so that it does not do all of it before a worker looks.
async fn held_up<T>(daemon: &Daemon, database: &tokio_postgres::Client, happened: impl Future<Output = T>) {
    let posted = "select count(*) from work_items where state = 'waiting'";
    wait_for("work is posted", async || (count(database, posted).await > 0).then_some(())).await;
    let tell = |signal| kill(Pid::from_raw(daemon.pid().try_into().unwrap()), signal).unwrap();
    tell(Signal::SIGSTOP);
    happened.await;
    tell(Signal::SIGCONT);
}

/// A stage with shared work, and a worker of it with a data directory of its own.
async fn apart(set: &[(&str, &str)]) -> (Stage, PathBuf) {
    let mut stage = Stage::new(21, 0.0).await;
    nulls(&mut stage);
    stage.set("SG__WORK__ENABLED", "true");
    set.iter().for_each(|(name, value)| stage.set(name, value));
    stage.json(&["migrate", "--json"]);
    let folder = stage.dir.path().join("elsewhere");
    (stage, folder)
}

/// What a directory holds that is named by its digest.
fn named(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    entries.filter_map(|name| Some(name.to_str()?.strip_suffix(".zst")?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_come_from_the_daemon_and_from_a_bucket() {
    let alone = alone().await;
    over_http(&alone).await;
    over_a_bucket(&alone).await;
}

async fn over_http(alone: &str) {
    let (mut stage, folder) = apart(&[("SG_WORK_TOKEN", TOKEN)]).await;
    let way = Way::default();
    let url = way.open().await;
    let command = |token: &str| {
        let mut command = stage.command(&["worker", "--slots", "2"]);
        command.env("SG_DATA_DIR", &folder).env("SG__WORK__BLOBS", &url).env("SG_WORK_TOKEN", token);
        command.env("SG__DAEMON__MAX_MEMORY_MB", "600").env("SG__ENGINE__CACHE_MB", "16");
        command
    };
    // The worker is there before the daemon, and waits for it with what it has taken.
    let mut worker = Daemon::start(command(TOKEN));
    worker.logged("candles cannot be fetched now: they are asked for when they are needed").await;
    worker.logged("working").await;
    let client = stage.client().await;
    let daemon = stage.daemon("continuous");
    held_up(&daemon, &client, worker.logged("a blob cannot be fetched now: it is tried again")).await;
    daemon.kill();
    let mut daemon = stage.daemon("continuous");
    let there: SocketAddr = daemon.url().await.strip_prefix("http://").unwrap().parse().unwrap();
    // The first answers end in the middle.
    way.cuts.store(2, Ordering::SeqCst);
    *way.to.lock().unwrap() = Some(there);
    assert_eq!(session(&client).await, alone);
    assert!(count(&client, BY_WORKERS).await > 0);
    assert_eq!(way.cuts.load(Ordering::SeqCst), 0);
    assert_eq!(count(&client, "select coalesce(sum(disagreements), 0)::bigint from work_items").await, 0);
    assert_eq!(count(&client, "select count(*) from work_items where error is not null").await, 0);
    // The daemon has items, too, and is no worker.
    assert_eq!(count(&client, "select count(*) from work_workers where name not like 'worker%'").await, 0);
    assert!(!folder.join("work").exists() && !named(folder.join("work-copies")).is_empty());

    asked_wrongly(&format!("http://{there}"), &named(stage.dir.path().join("data/work"))).await;
    let other = command("another token of workers").output().unwrap();
    let why = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && why.contains("work.token must be the same here as there"), "{why}");

    // What is damaged is an error of the item, and nobody computes on it.
    let (good, bad) = (b"what it was", zstd::bulk::compress(b"what it is", 1).unwrap());
    let digest = hex::encode(Sha256::digest(good));
    std::fs::write(stage.dir.path().join("data/work").join(format!("{digest}.zst")), bad).unwrap();
    let input = format!(r#"{{"ground":"{digest}","task":"{digest}","number":0}}"#);
    let item = NewWork { kind: WorkKind::NullSearch, input, place: 0 };
    let store = stage.database.store().await;
    store.post_work(sg_ai::CODE_VERSION, uuid::Uuid::now_v7(), &[item]).await.unwrap();
    let error = wait_for("the damage is noticed", async || {
        let failures = store.work_status(Duration::from_secs(2)).await.unwrap().failures;
        failures.into_iter().next().map(|failure| failure.error)
    })
    .await;
    assert!(error.contains("is damaged"), "{error}");
    daemon.stop().await;
    worker.stop().await;
    // A daemon posts nowhere but where it can write.
    stage.set("SG__WORK__BLOBS", &url);
    let refused = stage.command(&["continuous"]).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("nobody writes"), "{why}");
}

/// What is answered to whoever asks without the token, for no digest, for what is not there, and rightly.
async fn asked_wrongly(url: &str, blobs: &[String]) {
    let client = Client::new();
    let ask = async |what: &str, token: Option<&str>| {
        let asked = client.get(format!("{url}/api/blobs/{what}"));
        token.into_iter().fold(asked, |asked, token| asked.bearer_auth(token)).send().await.unwrap()
    };
    let nothing = "0".repeat(64);
    for (what, token, status) in [
        (blobs[0].as_str(), None, StatusCode::UNAUTHORIZED),
        (&blobs[0], Some("another token of workers"), StatusCode::UNAUTHORIZED),
        ("..%2F..%2Fetc%2Fpasswd", Some(TOKEN), StatusCode::BAD_REQUEST),
        (&blobs[0].to_uppercase(), Some(TOKEN), StatusCode::BAD_REQUEST),
        (&nothing, Some(TOKEN), StatusCode::NOT_FOUND),
    ] {
        let answer = ask(what, token).await;
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (status, &"application/problem+json".parse().unwrap())
        );
    }
    for digest in blobs {
        let answer = ask(digest, Some(TOKEN)).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((answer.status(), header("content-type")), (StatusCode::OK, "application/zstd".to_owned()));
        assert_eq!(header("cache-control"), "private, max-age=31536000, immutable");
        assert_eq!(header("etag"), format!("\"{digest}\""));
        let length: usize = header("content-length").parse().unwrap();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes.len(), length);
        assert_eq!(&hex::encode(Sha256::digest(zstd::stream::decode_all(&bytes[..]).unwrap())), digest);
    }
}

/// `SG_TEST_S3` is the address of another S3 service than the one of the tests, with an empty bucket called `bucket`.
async fn over_a_bucket(alone: &str) {
    let (own, objects) = support::s3::start().await;
    let other = std::env::var("SG_TEST_S3").ok();
    let endpoint = other.clone().unwrap_or(own);
    let settings = [
        ("SG__WORK__BLOBS", "s3://bucket/our/blobs"),
        ("SG__MARKET__S3_ENDPOINT", endpoint.as_str()),
        ("SG__MARKET__S3_ACCESS_KEY_ID", "key"),
        ("SG__MARKET__S3_SECRET_ACCESS_KEY", "secret"),
    ];
    let (stage, folder) = apart(&settings).await;
    let mut command = stage.command(&["worker"]);
    command.env("SG_DATA_DIR", &folder);
    let mut worker = Daemon::start(command);
    worker.logged("working").await;
    let daemon = stage.daemon("continuous");
    let client = stage.client().await;
    let done = wait_for("the worker has done some", async || (count(&client, BY_WORKERS).await > 0).then_some(()));
    held_up(&daemon, &client, done).await;
    assert_eq!(session(&client).await, alone);
    daemon.stop().await;
    worker.stop().await;
    let copies = named(folder.join("work-copies"));
    assert!(!copies.is_empty());
    if other.is_none() {
        let there: Vec<String> = objects.lock().unwrap().keys().cloned().collect();
        assert!(there.len() >= 2 && there.iter().all(|key| key.starts_with("our/blobs/")), "{there:?}");
        assert!(copies.iter().all(|digest| there.contains(&format!("our/blobs/{digest}.zst"))));
    }
    assert!(!folder.join("work").exists() && !stage.dir.path().join("data/work").exists());
}
