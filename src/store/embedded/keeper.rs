//! The thread that owns the server process: starts it, restarts it when it dies, stops it.
//!
//! One thread for the whole life of the server, because the parent-death signal fires when the thread that
//! spawned a process ends. A lock file says who owns the server; others on the same data use it as it is
//! and take over when the owner is gone.

use super::{EmbeddedConfig, EmbeddedError, Programs, cluster::Cluster, cluster::stop, programs};
use nix::{sys::signal::kill, unistd::Pid};
use std::{
    fs::{self, File, TryLockError},
    os::unix::process::CommandExt,
    process::{Child, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

/// How often the process and the lock are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Longest pause before a server that keeps dying is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A log file longer than this is begun anew at a start, bytes.
const LOG_MAX: u64 = 16 << 20;

/// What the thread tells the others.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Whether this process owns the server.
    pub(super) owner: bool,
    /// The server's process, while we own it and it runs.
    pub(super) pid: Option<u32>,
    /// How often it was started again after it had died.
    pub(super) restarts: u64,
    /// Deaths since it was last seen healthy.
    pub(super) deaths: u32,
    /// Why it could not be started at all.
    pub(super) failed: Option<EmbeddedError>,
    /// The thread has ended.
    pub(super) ended: bool,
}

/// Shared with the thread.
pub(super) type SharedStatus = Arc<Mutex<Status>>;

pub(super) fn lock(status: &SharedStatus) -> MutexGuard<'_, Status> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until told to stop, or until the other end of the channel is gone.
pub(super) fn keep(config: &EmbeddedConfig, cluster: &Cluster, status: &SharedStatus, stop_rx: &Receiver<()>) {
    if let Err(error) = own(config, cluster, status, stop_rx) {
        tracing::error!(%error, "the private PostgreSQL server cannot be kept");
        lock(status).failed = Some(error);
    }
    let mut status = lock(status);
    (status.ended, status.pid) = (true, None);
}

fn own(
    config: &EmbeddedConfig,
    cluster: &Cluster,
    status: &SharedStatus,
    stop_rx: &Receiver<()>,
) -> Result<(), EmbeddedError> {
    let path = cluster.root.join("owner.lock");
    let file = File::options().create(true).append(true).open(&path).map_err(EmbeddedError::io("open", &path))?;
    let mut was_up = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // Another daemon has it up.
            Err(TryLockError::WouldBlock) => was_up = true,
            Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", &path)(error)),
        }
        if told_to_stop(stop_rx, TICK) {
            return Ok(());
        }
    }
    // The lock is held until this function ends.
    lock(status).owner = true;
    let mut pause = TICK;
    loop {
        let started = Instant::now();
        let outcome = match start(config, cluster) {
            Ok(mut child) => {
                was_up = true;
                lock(status).pid = Some(child.id());
                match watch(&mut child, stop_rx) {
                    None => return Ok(()),
                    Some(exit) => format!("{exit}; its log ends with: {}", cluster.log_tail()),
                }
            }
            Err(error) if was_up => error.to_string(),
            // Nobody relies on it yet: whoever starts it hears why.
            Err(error) => return Err(error),
        };
        tracing::warn!(reason = outcome, "the private PostgreSQL server died and is started again");
        {
            let mut status = lock(status);
            status.pid = None;
            status.restarts += 1;
            status.deaths += 1;
        }
        pause = if started.elapsed() > LONGEST_PAUSE { TICK } else { (pause * 2).min(LONGEST_PAUSE) };
        if told_to_stop(stop_rx, pause) {
            return Ok(());
        }
    }
}

/// Starts the server on what is there, whatever state its last one left it in.
fn start(config: &EmbeddedConfig, cluster: &Cluster) -> Result<Child, EmbeddedError> {
    let programs = programs::locate(config.postgres_bin.as_deref(), &config.cache_dir, cluster.version()?)?;
    cluster.initialise(&programs)?;
    cluster.reclaim()?;
    spawn(config, cluster, &programs)
}

/// Waits until the server dies, or stops it when told to (`None`).
fn watch(child: &mut Child, stop_rx: &Receiver<()>) -> Option<ExitStatus> {
    loop {
        if told_to_stop(stop_rx, TICK) {
            stop_child(child);
            return None;
        }
        if let Ok(Some(exit)) = child.try_wait() {
            return Some(exit);
        }
    }
}

fn told_to_stop(stop_rx: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stop_rx.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn stop_child(child: &mut Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let stopped = stop(|signal| kill(pid, signal), || matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
    if !stopped {
        tracing::error!(pid = pid.as_raw(), "the private PostgreSQL server does not stop");
    }
}

fn spawn(config: &EmbeddedConfig, cluster: &Cluster, programs: &Programs) -> Result<Child, EmbeddedError> {
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("unix_socket_directories", cluster.socket.display().to_string()),
        ("unix_socket_permissions", "0700".to_owned()),
        // Durable: what was reported is not lost, whatever dies.
        ("fsync", "on".to_owned()),
        ("full_page_writes", "on".to_owned()),
        ("synchronous_commit", "on".to_owned()),
        ("shared_buffers", "64MB".to_owned()),
        ("max_connections", "80".to_owned()),
        ("max_wal_size", "512MB".to_owned()),
        ("log_min_messages", "warning".to_owned()),
        ("log_checkpoints", "off".to_owned()),
        ("jit", "off".to_owned()),
    ];
    settings.extend(config.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let mut command = cluster.command(programs, "postgres");
    command.arg("-D").arg(&cluster.data).args(["-p", "5432"]);
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let log = open_log(cluster)?;
    let errors = log.try_clone().map_err(EmbeddedError::io("open", &cluster.log))?;
    command.stdout(Stdio::from(log)).stderr(Stdio::from(errors));
    // A group of its own: Ctrl-C in a terminal is for us, and we stop the server when we are done with it.
    command.process_group(0);
    die_with_us(&mut command);
    command.spawn().map_err(EmbeddedError::io("run", programs.program("postgres")))
}

fn open_log(cluster: &Cluster) -> Result<File, EmbeddedError> {
    let too_long = fs::metadata(&cluster.log).is_ok_and(|meta| meta.len() > LOG_MAX);
    if too_long {
        let older = cluster.log.with_extension("log.1");
        fs::rename(&cluster.log, &older).map_err(EmbeddedError::io("rename", &cluster.log))?;
    }
    File::options().create(true).append(true).open(&cluster.log).map_err(EmbeddedError::io("open", &cluster.log))
}

/// Linux: the kernel asks the server for a fast shutdown when our thread is gone, even after kill -9.
/// Elsewhere the next owner stops what was left behind.
#[cfg(target_os = "linux")]
// Why it is sound: between fork and exec the closure makes two system calls and allocates nothing.
#[allow(unsafe_code)]
fn die_with_us(command: &mut std::process::Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: only async-signal-safe system calls, no allocation, no locks.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGINT)?;
            // Dead already, before the signal was asked for?
            if nix::unistd::getppid() == parent { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_us(_: &mut std::process::Command) {}
