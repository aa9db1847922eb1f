//! The keys of a node: those that operators configure, and the development key beside the data,
//! made once and good for loopback only.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ingest::Keys;

use crate::config::Config;

/// The keys that a node which listens on `address` checks tokens with. Beyond loopback the
/// development key is left out: whoever can read the data folder could make tokens for everybody.
///
/// # Errors
/// When a file cannot be read or holds no keys, or when there would be none.
pub fn node_keys(config: &Config, address: SocketAddr) -> anyhow::Result<Keys> {
    let mut keys = Keys::default();
    if let Some(path) = &config.ingest.keys {
        keys = read(path)?;
        if keys.has_development_key() && !address.ip().is_loopback() {
            bail!(
                "{} holds a development key, which is for loopback only",
                path.display()
            );
        }
    }
    if address.ip().is_loopback() && !keys.has_development_key() {
        keys = keys.join(development_key(&config.data)?)?;
    }
    if keys.is_empty() {
        bail!(
            "no token can be valid: beyond loopback ([::1], 127.0.0.0/8) the development key is not used, and ingest.keys names no file"
        );
    }
    Ok(keys)
}

/// The development key of a data folder, made when there is none. Only its owner may read it.
///
/// # Errors
/// When the folder cannot be written or the file holds no key.
pub fn development_key(data: &Path) -> anyhow::Result<Keys> {
    let path = development_path(data);
    if !path.exists() {
        fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
        make(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    read(&path)
}

/// The development key that a node has made in its data folder.
///
/// # Errors
/// When there is none, or it cannot be read: a key made by anybody but the node is one that no node
/// takes.
pub fn made_development_key(data: &Path) -> anyhow::Result<Keys> {
    let path = development_path(data);
    if !path.exists() {
        let (path, data) = (path.display(), data.display());
        bail!(
            "there is no development key at {path}: a node makes it when it starts on loopback (`cursus --data {data}`); --data names the folder of one that runs elsewhere"
        );
    }
    read(&path)
}

fn development_path(data: &Path) -> PathBuf {
    data.join("development-key.json")
}

fn read(path: &Path) -> anyhow::Result<Keys> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Keys::from_jwk_set(&text).with_context(|| format!("{} holds no keys", path.display()))
}

/// Written beside and linked into place, so that two starts at once end with one whole key.
fn make(path: &Path) -> std::io::Result<()> {
    let mut secret = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    writeln!(file, "{}", ingest::development_key("local", &secret))?;
    file.sync_all()?;
    match fs::hard_link(&beside, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::remove_file(&beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: &Path) -> Config {
        Config {
            data: data.to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn development_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        assert!(development_key(data.path()).unwrap().has_development_key());
        let path = development_path(data.path());
        let text = fs::read_to_string(&path).unwrap();
        assert!(development_key(data.path()).is_ok());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn only_a_node_makes_a_key() {
        let data = tempfile::tempdir().unwrap();
        let wrong = data.path().join("wrong");
        let refused = made_development_key(&wrong).unwrap_err().to_string();
        let path = development_path(&wrong).display().to_string();
        assert!(refused.contains(&path), "{refused}");
        assert!(!wrong.exists(), "nothing was made");
        development_key(data.path()).unwrap();
        assert!(made_development_key(data.path()).is_ok());
    }

    #[test]
    fn file_that_holds_no_key_is_refused() {
        let data = tempfile::tempdir().unwrap();
        for text in ["", "abc", "{}", r#"{"keys":[{}]}"#] {
            fs::write(development_path(data.path()), text).unwrap();
            assert!(development_key(data.path()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn development_key_is_not_used_beyond_loopback() {
        let data = tempfile::tempdir().unwrap();
        let config = config(data.path());
        let beyond = SocketAddr::from(([0, 0, 0, 0], 7800));
        let refused = node_keys(&config, beyond).unwrap_err().to_string();
        assert!(refused.contains("loopback"), "{refused}");
        let keys = node_keys(&config, SocketAddr::from(([127, 0, 0, 1], 7800))).unwrap();
        assert!(keys.has_development_key());
    }
}
