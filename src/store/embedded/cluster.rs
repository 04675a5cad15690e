//! The files of the private server: who owns them, where the socket is, a fresh cluster, what a dead server left.

use super::{EmbeddedConfig, EmbeddedError, Programs, SUPERUSER};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{Gid, Pid, Uid, User, chown},
};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Longest path of a Unix socket on every platform (Linux takes 107 bytes, macOS 103).
const SOCKET_PATH_MAX: usize = 103;
/// Name of the socket in its folder.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// Whom the server runs as, when that is not ourselves.
#[derive(Clone, Debug)]
pub(super) struct ServerUser {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl ServerUser {
    /// `None` for an ordinary user; for root `postgres`, else `nobody`.
    fn choose() -> Result<Option<Self>, EmbeddedError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Some(Self { name: user.name, uid: user.uid, gid: user.gid }))
            .ok_or(EmbeddedError::NoUser)
    }

    /// Fails with the first folder on the way to `path` that this user cannot enter.
    fn check_traversable(&self, path: &Path) -> Result<(), EmbeddedError> {
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev().filter(|folder| folder.is_dir()) {
            let meta = fs::metadata(folder).map_err(EmbeddedError::io("look at", folder))?;
            let bit = if meta.uid() == self.uid.as_raw() {
                0o100
            } else if meta.gid() == self.gid.as_raw() {
                0o010
            } else {
                0o001
            };
            if meta.mode() & bit == 0 {
                return Err(EmbeddedError::NotTraversable { user: self.name.clone(), path: folder.to_path_buf() });
            }
        }
        Ok(())
    }
}

/// The folders of a server.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// Ours: holds everything else.
    pub(super) root: PathBuf,
    /// PGDATA. Is there only when initdb has finished.
    pub(super) data: PathBuf,
    /// Folder of the socket.
    pub(super) socket: PathBuf,
    /// What the server says.
    pub(super) log: PathBuf,
    user: Option<ServerUser>,
}

impl Cluster {
    /// Makes the folders that are not there.
    pub(super) fn prepare(config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let user = ServerUser::choose()?;
        let given = &config.data_dir;
        if let Some(parent) = given.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(EmbeddedError::io("create", parent))?;
        }
        own_folder(given, user.as_ref())?;
        let root = fs::canonicalize(given).map_err(EmbeddedError::io("look at", given))?;
        if let Some(user) = &user {
            user.check_traversable(&root)?;
        }
        let mut socket = root.join("run");
        if socket.join(SOCKET_NAME).as_os_str().len() > SOCKET_PATH_MAX {
            // Named by the folder, so that everybody who uses it finds the same place.
            let digest = hex::encode(&Sha256::digest(root.as_os_str().as_encoded_bytes())[..6]);
            socket = PathBuf::from(format!("/tmp/sg-ai-{}-{digest}", nix::unistd::geteuid()));
        }
        own_folder(&socket, user.as_ref())?;
        Ok(Self { data: root.join("cluster"), log: root.join("server.log"), socket, root, user })
    }

    /// Major version of the data; `None` before there are any.
    pub(super) fn version(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.data.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let odd = || io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no version"));
                text.trim().parse().map(Some).map_err(|_| EmbeddedError::io("read", &path)(odd()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.data.exists() => Ok(None),
            Err(error) => Err(EmbeddedError::io("read", path)(error)),
        }
    }

    /// A command of these programs, run as the right user with nothing of our environment.
    pub(super) fn command(&self, programs: &Programs, name: &str) -> Command {
        let mut command = Command::new(programs.program(name));
        // No secrets, no PG* variables, no locale of the operator's.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir(&self.root).stdin(Stdio::null());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Makes the cluster, if there is none. It appears in place only when finished.
    pub(super) fn initialise(&self, programs: &Programs) -> Result<(), EmbeddedError> {
        if let Some(user) = &self.user {
            user.check_traversable(&programs.bin)?;
        }
        match self.version()? {
            Some(version) if version == programs.major => return Ok(()),
            Some(version) => {
                return Err(EmbeddedError::OtherVersion {
                    path: self.data.clone(),
                    data: version.to_string(),
                    programs: format!("PostgreSQL {} in {}", programs.major, programs.bin.display()),
                });
            }
            None => {}
        }
        let unfinished = self.root.join("cluster.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(EmbeddedError::io("remove", &unfinished))?;
        }
        let mut command = self.command(programs, "initdb");
        command.arg("--pgdata").arg(&unfinished).arg("--username").arg(SUPERUSER);
        // Trust is enough: nobody else can enter the socket's folder, and there is no other way in.
        command.args(["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"]);
        command.args(["--data-checksums", "--no-instructions"]);
        let output = command.output().map_err(EmbeddedError::io("run", programs.program("initdb")))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(EmbeddedError::Program {
                program: programs.program("initdb").display().to_string(),
                output: text,
            });
        }
        fs::rename(&unfinished, &self.data).map_err(EmbeddedError::io("create", &self.data))?;
        fs::File::open(&self.root).and_then(|folder| folder.sync_all()).map_err(EmbeddedError::io("write", &self.root))
    }

    /// The process that runs on the data now, whoever started it.
    pub(super) fn running_pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.trim().parse().ok()?);
        // A number may have been given to another process since: look at what it runs.
        let data = self.data.display().to_string();
        (pid.as_raw() > 0 && command_line(pid).is_some_and(|line| line.contains(&data))).then_some(pid)
    }

    /// Stops a server that a killed daemon left behind, and removes its traces. Only for the owner of the lock.
    pub(super) fn reclaim(&self) -> Result<(), EmbeddedError> {
        if let Some(pid) = self.running_pid() {
            tracing::info!(pid = pid.as_raw(), "stopping a PostgreSQL server that was left behind");
            stop(|signal| kill(pid, signal), || self.running_pid() != Some(pid));
        }
        let file = self.data.join("postmaster.pid");
        if self.running_pid().is_none() && file.exists() {
            // PostgreSQL would take a stranger with this process number for a server.
            fs::remove_file(&file).map_err(EmbeddedError::io("remove", &file))?;
        }
        Ok(())
    }

    /// The last lines of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

/// Asks a server to stop, ever more firmly: fast, at once, killed.
pub(super) fn stop(send: impl Fn(Signal) -> Result<(), Errno>, mut gone: impl FnMut() -> bool) -> bool {
    for (signal, patience_s) in [(Signal::SIGINT, 20), (Signal::SIGQUIT, 5), (Signal::SIGKILL, 5)] {
        if send(signal) == Err(Errno::ESRCH) {
            return true;
        }
        let deadline = Instant::now() + Duration::from_secs(patience_s);
        while Instant::now() < deadline {
            if gone() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    false
}

/// A folder that only its owner can enter, made if need be.
fn own_folder(path: &Path, user: Option<&ServerUser>) -> Result<(), EmbeddedError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            if let Some(user) = user {
                chown(path, Some(user.uid), Some(user.gid))
                    .map_err(|errno| EmbeddedError::io("hand over", path)(errno.into()))?;
            }
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(EmbeddedError::io("create", path)(error)),
    }
    let meta = fs::symlink_metadata(path).map_err(EmbeddedError::io("look at", path))?;
    let owner = user.map_or_else(nix::unistd::geteuid, |user| user.uid);
    if meta.is_dir() && meta.uid() != owner.as_raw() && user.is_some() && is_empty(path) {
        let user = user.map(|user| (user.uid, user.gid));
        chown(path, user.map(|u| u.0), user.map(|u| u.1))
            .map_err(|errno| EmbeddedError::io("hand over", path)(errno.into()))?;
    } else if !meta.is_dir() || meta.uid() != owner.as_raw() {
        let message = format!("it belongs to user id {}, expected a folder of user id {owner}", meta.uid());
        return Err(EmbeddedError::io("use", path)(io::Error::new(io::ErrorKind::PermissionDenied, message)));
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(EmbeddedError::io("set the mode of", path))
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// What a process runs; `None` when it is not there (or dead and not yet buried).
fn command_line(pid: Pid) -> Option<String> {
    let text = if cfg!(target_os = "linux") {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ")
    } else {
        let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    (!text.trim().is_empty()).then_some(text)
}
