//! A private Postgres that may be killed. Never one that was there before.

use nix::{
    sys::signal,
    unistd::{Pid, User},
};
use std::{
    error::Error,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio_postgres::{Client, NoTls};

pub struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

fn as_user(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if nix::unistd::geteuid().is_root() {
        let user = User::from_name("postgres")?.ok_or("as root it needs a user `postgres`")?;
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    Ok(())
}

impl Server {
    /// `programs`: the folder of `initdb` and `postgres`.
    pub fn new(programs: PathBuf) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        if let Some(user) = User::from_name("postgres")?.filter(|_| nix::unistd::geteuid().is_root()) {
            std::os::unix::fs::chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut init = Command::new(programs.join("initdb"));
        init.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-D"]).arg(folder.path().join("data"));
        as_user(&mut init)?;
        let made = init.current_dir(folder.path()).stdout(Stdio::null()).status()?;
        if !made.success() {
            return Err("initdb failed".into());
        }
        Ok(Self { folder, programs, port, child: None })
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub async fn client(&self) -> Result<Client, Box<dyn Error>> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..200 {
            let gone = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            if gone {
                let mut command = Command::new(self.programs.join("postgres"));
                command.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.port.to_string()]);
                for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "autovacuum_naptime=1s"] {
                    command.args(["-c", setting]);
                }
                as_user(&mut command)?;
                let log = std::fs::File::create(self.folder.path().join("log"))?;
                self.child = Some(command.current_dir(self.folder.path()).stderr(log).stdout(Stdio::null()).spawn()?);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.client().await.is_ok() {
                return Ok(());
            }
        }
        Err("Postgres does not start".into())
    }

    /// `kill -9` of the server; its children end themselves.
    pub fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        if let Some(mut child) = self.child.take() {
            signal::kill(Pid::from_raw(child.id() as i32), signal::Signal::SIGKILL)?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
