//! Seconds of a session with workers of this machine or behind slow networks: what docs/SCALING.md tells. `benches/network` makes the
//! networks and runs this for each row; without them it is a small session with one worker.

use super::{
    process::Daemon,
    stage::Stage,
    work::{BY_WORKERS, count, ended, small_items},
};
use secrecy::ExposeSecret;
use std::{fs, net::SocketAddr, process::Command, time::Duration};
use tokio::net::{TcpListener, UnixStream};
use tokio_postgres::Client;

/// A network namespace for workers: its name, which is that of the device that leads there, and our address on that.
#[derive(Clone)]
struct Far {
    name: String,
    address: String,
}

impl Far {
    /// Those of `SG_TEST_NAMESPACES`: `NAME=ADDRESS,...`, a worker each.
    fn all() -> Vec<Self> {
        let named = std::env::var("SG_TEST_NAMESPACES").unwrap_or_default();
        let of =
            |one: &str| one.split_once('=').map(|(name, address)| Self { name: name.into(), address: address.into() });
        named.split(',').filter_map(of).collect()
    }

    /// Bytes and packets that went there and came from there.
    fn carried(&self) -> [u64; 2] {
        let of = |what: &str| {
            let path = format!("/sys/class/net/{}/statistics/{what}", self.name);
            fs::read_to_string(path).unwrap().trim().parse::<u64>().unwrap()
        };
        [of("tx_bytes") + of("rx_bytes"), of("tx_packets") + of("rx_packets")]
    }

    /// Where the database server of this machine alone, which listens on a socket in a folder, is found from there.
    async fn leads_to(&self, folder: &str) -> SocketAddr {
        let listener = TcpListener::bind((self.address.as_str(), 0)).await.unwrap();
        let (address, socket) = (listener.local_addr().unwrap(), format!("{folder}/.s.PGSQL.5432"));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                near.set_nodelay(true).unwrap();
                let mut server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut server).await });
            }
        });
        address
    }

    /// A worker there, which has the database and the daemon over the network and nothing else.
    async fn worker(&self, stage: &Stage, daemon: &str) -> Daemon {
        let url = stage.database.url.expose_secret();
        let (who, folder) = url.split_once("?host=").unwrap();
        let folder = url::form_urlencoded::parse(format!("host={folder}").as_bytes()).next().unwrap().1.into_owned();
        let there = self.leads_to(&folder).await;
        let url = who.replace("@/", &format!("@{there}/")) + "?sslmode=disable";
        let port = daemon.rsplit_once(':').unwrap().1;
        let own = stage.command(&["worker", "--slots", &slots(), "--name", &format!("worker {}", self.name)]);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(own.get_program()).args(own.get_args());
        command.current_dir(stage.dir.path()).env_clear();
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SG_DATA_DIR", stage.dir.path().join(&self.name)).env("DATABASE_URL", url);
        command.env("SG__WORK__BLOBS", format!("http://{}:{port}", self.address));
        Daemon::start(command)
    }
}

/// Items that a worker does at once, `SG_TEST_SLOTS`.
fn slots() -> String {
    std::env::var("SG_TEST_SLOTS").unwrap_or_else(|_| "1".to_owned())
}

/// Transactions that were committed in the database so far.
async fn commits(client: &Client) -> i64 {
    count(client, "select xact_commit from pg_stat_database where datname = current_database()").await
}

/// What is measured: a daemon, workers, and what went over the network and to the database since they were there.
struct Measured {
    stage: Stage,
    client: Client,
    processes: Vec<Daemon>,
    far: Vec<Far>,
    carried: Vec<[u64; 2]>,
    committed: i64,
}

impl Measured {
    /// A daemon that does `what`, and workers: so many on this machine, and those of the namespaces.
    async fn begin(set: &[(&str, &str)], what: &str, near: usize) -> Self {
        let far = Far::all();
        let mut stage = Stage::new(21, 0.0).await;
        let shared = [("SG__DAEMON__THREADS", "1"), ("SG_WORK_TOKEN", "a token for workers")];
        set.iter().chain(&shared).for_each(|(name, value)| stage.set(name, value));
        stage.set("SG__WORK__ENABLED", if near + far.len() == 0 { "false" } else { "true" });
        if !far.is_empty() {
            stage.set("SG__HTTP__LISTEN_ADDRESS", "0.0.0.0");
        }
        stage.json(&["migrate", "--json"]);
        let client = stage.client().await;
        // The daemon is there first, so that workers know where; it searches for seconds before it posts anything.
        let mut daemon = stage.daemon(what);
        let url = daemon.url().await;
        let mut workers: Vec<Daemon> =
            (0..near).map(|_| Daemon::start(stage.command(&["worker", "--slots", &slots()]))).collect();
        for one in &far {
            workers.push(one.worker(&stage, &url).await);
        }
        for worker in &mut workers {
            worker.logged("working").await;
        }
        workers.push(daemon);
        let carried = far.iter().map(Far::carried).collect();
        let committed = commits(&client).await;
        Self { stage, client, processes: workers, far, carried, committed }
    }

    /// Tells what came of it; `seconds` are in all, and of the session's own search.
    async fn end(self, asked: &str, (all, own): (f64, f64)) {
        let Self { stage, client, processes, far, carried, committed } = self;
        let committed = commits(&client).await - committed;
        let [bytes, packets] =
            [0, 1].map(|at| far.iter().zip(&carried).map(|(one, was)| one.carried()[at] - was[at]).sum::<u64>());
        let items = "select coalesce(avg(extract(epoch from finished_at - taken_at)), 0)::double precision,
                coalesce(avg(extract(epoch from finished_at - taken_at)) filter (where worker like 'worker%'), 0)::double precision,
                coalesce(avg(length(output)), 0)::double precision, coalesce(avg(length(input)), 0)::double precision, count(*)
            from work_items where state = 'done'";
        let items = client.query_one(items, &[]).await.unwrap();
        let (seconds, of_workers, output, input): (f64, f64, f64, f64) =
            (items.get(0), items.get(1), items.get(2), items.get(3));
        let by_workers = count(&client, BY_WORKERS).await;
        let folder = stage.dir.path().join("data/work");
        let blobs: u64 =
            fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        eprintln!(
            "{asked}, {} far: {all:.1} s, of which {own:.1} s its own search; {by_workers} of {} null searches by workers, \
             {seconds:.2} s each ({of_workers:.2} s those of workers), {input:.0} bytes told and {output:.0} bytes found, blobs \
             of {blobs} bytes; {bytes} bytes in {packets} packets over the network; {committed} transactions",
            far.len(),
            items.get::<_, i64>(4)
        );
        for process in processes {
            process.stop().await;
        }
    }
}

/// `SG_TEST_SESSION` is population, generations and workers of this machine, such as `1000,30,0`.
#[tokio::test(flavor = "multi_thread")]
async fn seconds_of_a_session() {
    let asked = std::env::var("SG_TEST_SESSION").unwrap_or_else(|_| "20,2,1".to_owned());
    let parts: Vec<&str> = asked.split(',').collect();
    let set = [
        ("SG__PROTOCOL__NULL_EXCEEDANCES", "19"),
        ("SG__PROTOCOL__NULL_SEARCHES", "19"),
        ("SG__PROTOCOL__PLACEBO_EVERY_SESSIONS", "0"),
        ("SG_POPULATION_SIZE", parts[0]),
        ("SG__SEARCH__GENERATIONS", parts[1]),
    ];
    let measured = Measured::begin(&set, "continuous", parts[2].parse().unwrap()).await;
    while !ended(&measured.client).await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sql = "select extract(epoch from ended_at - started_at)::double precision,
            extract(epoch from (select max(created_at) from generations g where g.session_id = s.id) - started_at)::double precision
        from search_sessions s where number = 1";
    let row = measured.client.query_one(sql, &[]).await.unwrap();
    measured.end(&asked, (row.get(0), row.get(1))).await;
}

/// Items that take hardly any time to compute, so that what is left is what each costs beside: `SG_TEST_ITEMS` is how many, and workers
/// of this machine, such as `200,1`. The daemon serves what they look at and does none.
#[tokio::test(flavor = "multi_thread")]
async fn seconds_of_small_items() {
    let asked = std::env::var("SG_TEST_ITEMS").unwrap_or_else(|_| "20,1".to_owned());
    let (items, near) = asked.split_once(',').unwrap();
    let measured = Measured::begin(&[], "shadow", near.parse().unwrap()).await;
    let inputs = small_items(&measured.stage.dir.path().join("data/work"), items.parse().unwrap());
    let store = measured.stage.database.store().await;
    store.post_work(sg_ai::CODE_VERSION, uuid::Uuid::now_v7(), &inputs).await.unwrap();
    let done = "select count(*) from work_items where state = 'done'";
    while count(&measured.client, done).await < i64::try_from(inputs.len()).unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sql = "select extract(epoch from max(finished_at) - min(taken_at))::double precision from work_items";
    let all: f64 = measured.client.query_one(sql, &[]).await.unwrap().get(0);
    measured.end(&asked, (all, 0.0)).await;
}
