//! TLS for those who connect to us: our side has a certificate, theirs is known otherwise.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// A chain and its key, both in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// When the chain was written last: a renewed one is to be read again.
    pub fn written_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.chain).ok()?.modified().ok()
    }
}

#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub fn new(Files { chain, key }: &Files) -> io::Result<Self> {
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(chain, &error))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|it| it.with_no_client_auth().with_single_cert(certificates, secret))
            .map_err(|error| unusable(chain, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

/// `NAME.pem` and `NAME.key` in a directory, made at first: a certificate that this host signs itself.
/// Browsers ask about it once; it proves nothing but that it is the same as before.
pub fn own(directory: &Path, name: &str, names: Vec<String>) -> io::Result<Files> {
    let file = |ending: &str| directory.join(format!("{name}.{ending}"));
    let files = Files { chain: file("pem"), key: file("key") };
    if files.chain.exists() && files.key.exists() {
        return Ok(files);
    }
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| io::Error::other(format!("cannot make a certificate: {error}")))?;
    // The key first: a chain without it would be taken for whole by nobody.
    write(&files.key, &made.signing_key.serialize_pem(), 0o600)?;
    write(&files.chain, &made.cert.pem(), 0o644)?;
    Ok(files)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_own_certificate_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = own(directory.path(), "api", vec!["pbx.example".to_owned()]).unwrap();
        Acceptor::new(&files).map(drop).unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&files.chain).unwrap();
        assert_eq!(own(directory.path(), "api", Vec::new()).unwrap(), files);
        assert_eq!(fs::read(&files.chain).unwrap(), before);
        fs::write(&files.chain, "no certificate").unwrap();
        assert!(Acceptor::new(&files).is_err());
    }
}
