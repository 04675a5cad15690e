//! Finds the server's programs: where the operator says, on PATH, in the usual folders, in our cache.

use super::{EmbeddedError, install};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that our SQL runs on.
const OLDEST_MAJOR: u32 = 15;

/// Where distributions put the programs; `*` is a version.
const USUAL: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// A folder with `postgres` and `initdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The folder.
    pub bin: PathBuf,
    /// Major version.
    pub major: u32,
}

impl Programs {
    /// The programs in a folder.
    ///
    /// # Errors
    /// When one is missing, does not run, or is too old; the text says which.
    pub fn in_folder(bin: &Path) -> Result<Self, EmbeddedError> {
        let bad = |reason: String| EmbeddedError::BadPrograms { path: bin.to_path_buf(), reason };
        for program in ["postgres", "initdb"] {
            if !bin.join(program).is_file() {
                return Err(bad(format!("{program} is missing")));
            }
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output();
        let output = output.map_err(|error| bad(format!("postgres does not run: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = major_version(&text).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            bad(format!("postgres --version says {:?} {:?}", text.trim(), said.trim()))
        })?;
        if major < OLDEST_MAJOR {
            return Err(bad(format!("it is version {major}, and {OLDEST_MAJOR} is the oldest that will do")));
        }
        Ok(Self { bin: bin.to_path_buf(), major })
    }

    /// A program's path.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// `15` of `postgres (PostgreSQL) 15.18 (Debian ...)`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Finds programs, of the major version `wanted` when data of it are there already.
///
/// # Errors
/// [`EmbeddedError::NoPrograms`] with the commands that help; [`EmbeddedError::BadPrograms`] when `given` is no good.
pub fn locate(given: Option<&Path>, cache_dir: &Path, wanted: Option<u32>) -> Result<Programs, EmbeddedError> {
    if let Some(bin) = given {
        return Programs::in_folder(bin);
    }
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").iter().flat_map(env::split_paths).filter(|folder| folder.is_absolute()).collect();
    folders.extend(USUAL.iter().flat_map(|pattern| matching(pattern)));
    folders.push(install::bin_folder(cache_dir));
    let mut found: Vec<Programs> = Vec::new();
    for folder in &folders {
        if folder.join("postgres").is_file()
            && let Ok(programs) = Programs::in_folder(folder)
        {
            if wanted.is_none_or(|wanted| wanted == programs.major) {
                return Ok(programs);
            }
            found.push(programs);
        }
    }
    // Of the wrong version: the caller says so with the folder of the data at hand.
    found.into_iter().next().ok_or_else(|| EmbeddedError::NoPrograms {
        looked: format!("store.postgres_bin, PATH, {} and others, {}", USUAL[0], cache_dir.display()),
        advice: advice(),
    })
}

/// Existing folders that fit a pattern with one `*`, the highest version first.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?;
            let numbers = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            Some((numbers, PathBuf::from(format!("{parent}/{name}{after}"))))
        })
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0));
    found.into_iter().map(|(_, path)| path).collect()
}

/// What to type on this platform.
fn advice() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let ids: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let is = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    let package = if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else if is(&["debian", "ubuntu"]) {
        "sudo apt-get install postgresql"
    } else if is(&["fedora", "rhel", "centos"]) {
        "sudo dnf install postgresql-server"
    } else if is(&["arch"]) {
        "sudo pacman -S postgresql"
    } else if is(&["alpine"]) {
        "apk add postgresql17"
    } else if is(&["suse", "opensuse"]) {
        "sudo zypper install postgresql-server"
    } else {
        "your system's package of the PostgreSQL server"
    };
    format!("run `sg-ai postgres install`, or install it with `{package}`, or set DATABASE_URL to a server of yours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_postgres_says() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("who knows"), None);
    }

    #[test]
    fn the_highest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17", "16", "not-a-version"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = matching(&format!("{}/*/bin", root.path().display()));
        let names: Vec<_> = found.iter().map(|p| p.parent().unwrap().file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["17", "16", "15", "9.6"]);
    }

    #[test]
    fn a_folder_without_programs_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = locate(Some(root.path()), root.path(), None).unwrap_err().to_string();
        assert!(error.contains(&root.path().display().to_string()) && error.contains("postgres is missing"), "{error}");
        assert!(error.contains("SG_POSTGRES_BIN"), "{error}");
    }
}
