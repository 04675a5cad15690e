//! TLS to a real server with a certificate of our own making (folder `tls`: a root, a certificate for `localhost`
//! that descends from it, and a root that has nothing to do with it).

use crate::support;
use nix::unistd::{User, chown, geteuid};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use store::{ConnectOptions, Store, StoreConfig, StoreError, TlsMode, embedded::EmbeddedServer};

/// A server that takes only encrypted connections from the network, which is a loopback address of its own.
struct Encrypted {
    server: EmbeddedServer,
    dir: PathBuf,
    address: String,
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

async fn start() -> Encrypted {
    let pid = std::process::id();
    let dir = std::env::temp_dir().join(format!("sg-ai-tls-{pid}"));
    fs::create_dir_all(&dir).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/tls");
    for (name, mode) in [("server.pem", 0o644), ("server.key", 0o600)] {
        fs::copy(source.join(name), dir.join(name)).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let rules = "local all all trust\nhostssl all all 127.0.0.0/8 trust\nhostnossl all all 0.0.0.0/0 reject\n";
    fs::write(dir.join("hba.conf"), rules).unwrap();
    // Root runs the server as another user, who must own the key.
    if geteuid().is_root() {
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten()).unwrap();
        for path in [dir.clone(), dir.join("server.key"), dir.join("hba.conf")] {
            chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }
    let [a, b] = [pid / 250 % 250, pid % 250];
    let address = format!("127.77.{a}.{}", b + 1);
    let path = |name: &str| dir.join(name).display().to_string();
    let settings = [
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", path("server.pem")),
        ("ssl_key_file", path("server.key")),
        ("hba_file", path("hba.conf")),
        ("listen_addresses", address.clone()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let server = support::server_with(|folder| folder.join("encrypted"), &settings).await;
    Encrypted { server, dir, address }
}

fn certificate(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/tls").join(name).display().to_string()
}

impl Encrypted {
    /// Connects to a host by name, wherever that name leads, with this about TLS in the URL.
    async fn connect(&self, host: &str, about_tls: &str) -> Result<Store, StoreError> {
        let url = format!("postgresql://sg_ai@{host}/sg_ai?hostaddr={}&connect_timeout=10{about_tls}", self.address);
        Store::connect(&ConnectOptions::from_url(&url.into())?, &StoreConfig::default()).await
    }
}

fn refused(result: Result<Store, StoreError>) -> String {
    match result {
        // A machine without root certificates of its own can verify nobody.
        Err(StoreError::Unreachable(text) | StoreError::Config(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Other systems have but one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn each_mode_asks_for_what_libpq_asks_for() {
    let place = start().await;
    let (ours, other) = (certificate("ca.pem"), certificate("other.pem"));
    let root = |path: &str| format!("&sslrootcert={path}");
    // The server takes nothing in the clear.
    assert!(refused(place.connect("localhost", "&sslmode=disable").await).contains("no encryption"));
    for (host, mode, root) in [
        ("localhost", "", String::new()),
        ("localhost", "&sslmode=prefer", String::new()),
        ("localhost", "&sslmode=require", String::new()),
        ("elsewhere.example", "&sslmode=require", String::new()),
        ("localhost", "&sslmode=require", root(&ours)),
        ("elsewhere.example", "&sslmode=verify-ca", root(&ours)),
        ("localhost", "&sslmode=verify-full", root(&ours)),
    ] {
        let store = place.connect(host, &format!("{mode}{root}")).await;
        store.unwrap_or_else(|error| panic!("{host}{mode}{root}: {error}")).close();
    }
    for (host, mode, root, why) in [
        ("elsewhere.example", "verify-full", root(&ours), "not valid for name"),
        ("localhost", "verify-full", root(&other), "certificate"),
        ("localhost", "verify-ca", root(&other), "certificate"),
        ("localhost", "require", root(&other), "certificate"),
        ("localhost", "verify-full", String::new(), "certificate"),
    ] {
        let error = refused(place.connect(host, &format!("&sslmode={mode}{root}")).await);
        assert!(error.contains(why), "{host} {mode} {root}: {error}");
    }
    // Everything that connects by itself does so the same way: migrations, leases.
    let store = place.connect("localhost", &format!("&sslmode=verify-full{}", root(&ours))).await.unwrap();
    store.migrate().await.unwrap();
    store.try_acquire_lease("work").await.unwrap().unwrap().release().await;
    store.close();
    // The settings say what the URL leaves open.
    let url = format!("postgresql://sg_ai@localhost/sg_ai?hostaddr={}", place.address);
    let mut config = StoreConfig {
        database_url: Some(url.into()),
        tls_mode: Some(TlsMode::VerifyFull),
        tls_root_cert: Some(ours.into()),
        ..StoreConfig::default()
    };
    let options = ConnectOptions::from_config(&config).unwrap().unwrap();
    Store::connect(&options, &config).await.unwrap().close();
    config.tls_root_cert = Some(other.into());
    refused(Store::connect(&ConnectOptions::from_config(&config).unwrap().unwrap(), &config).await);
    config.tls_mode = Some(TlsMode::Disable);
    refused(Store::connect(&ConnectOptions::from_config(&config).unwrap().unwrap(), &config).await);
    // The socket needs no TLS, whatever is asked for.
    let socket = place.server.url().replace("/sg_ai?", "/sg_ai?sslmode=require&");
    let options = ConnectOptions::from_url(&socket.into()).unwrap();
    Store::connect(&options, &StoreConfig::default()).await.unwrap().close();
}
