//! Fetches what an operator's URL names: a list of networks, a country database.
//!
//! Owns the HTTP client and its limits. What is fetched goes to a writer; whether it is any good, and
//! what it replaces, is the caller's affair. Calls block: async callers use a thread of their own.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How much is borne of a server that may be slow, huge or hostile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the connection to the last byte.
    pub time: Duration,
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(300), bytes: 256 << 20 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("not a URL that begins with http:// or https://")]
    NoUrl,
    #[error("the server answered {0}")]
    Status(u16),
    #[error("more than {0} bytes")]
    TooLarge(u64),
    #[error("the answer has no bytes")]
    Empty,
    /// No name, no connection, no certificate, no time left.
    #[error("{0}")]
    Unreachable(String),
    #[error("cannot write what was fetched: {0}")]
    Write(io::Error),
}

/// Where systems keep the certificates of authorities that they trust.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
const REDIRECTS_MAX: u32 = 5;
const CONNECT_TIME: Duration = Duration::from_secs(20);
const PIECE: usize = 64 << 10;

/// Is it a URL that [`fetch`] takes?
pub fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// A URL as anybody may see it: without a password, and without what is asked for, which may be a licence's key.
pub fn shown(url: &str) -> String {
    const HIDDEN: &str = "(not shown)";
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, query) = rest.split_once('?').map_or((rest, None), |it| (it.0, Some(it.1)));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = authority.rsplit_once('@').map(|(_, host)| format!("{HIDDEN}@{host}"));
    let host = host.unwrap_or_else(|| authority.to_owned());
    let query = query.map(|_| format!("?{HIDDEN}")).unwrap_or_default();
    format!("{scheme}://{host}{path}{query}")
}

/// Whom this host trusts, an operator's own authority among them; without any, whom browsers trust.
fn roots() -> RootCerts {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut places = named.into_iter().chain(BUNDLES.map(PathBuf::from));
    let trusted = |place: PathBuf| {
        let text = fs::read(place).ok()?;
        let all = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let all: Vec<Certificate<'static>> = all.collect();
        (!all.is_empty()).then_some(all)
    };
    places.find_map(trusted).map_or(RootCerts::WebPki, RootCerts::from)
}

/// Writes the body behind a URL to `into`; returns its bytes. What was written before an error is worth
/// nothing.
pub fn fetch(url: &str, limits: Limits, into: &mut dyn Write) -> Result<u64, FetchError> {
    if !is_url(url) {
        return Err(FetchError::NoUrl);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limits.time))
        .timeout_connect(Some(CONNECT_TIME.min(limits.time)))
        .max_redirects(REDIRECTS_MAX)
        .user_agent(concat!("sipprot/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots()).build())
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(status) => FetchError::Status(status),
        other => FetchError::Unreachable(other.to_string()),
    })?;
    // Neither a redirect that leads nowhere nor "no content" is a body.
    if response.status() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = response.into_body().into_reader();
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let read = body.read(&mut piece);
        let length = read.map_err(|error| FetchError::Unreachable(error.to_string()))?;
        if length == 0 {
            break;
        }
        bytes += length as u64;
        if bytes > limits.bytes {
            return Err(FetchError::TooLarge(limits.bytes));
        }
        into.write_all(&piece[..length]).map_err(FetchError::Write)?;
    }
    if bytes == 0 { Err(FetchError::Empty) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::*;

    /// Gives one answer to whoever connects first, and goes away.
    fn serve(answer: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&answer);
        });
        address
    }

    fn check(answer: &str, expected: Result<&str, &str>) {
        let url = format!("http://{}/list.txt", serve(answer.as_bytes().to_vec()));
        let limits = Limits { time: Duration::from_secs(10), bytes: 16 };
        let mut body = Vec::new();
        let found = fetch(&url, limits, &mut body).map_err(|error| error.to_string());
        match expected {
            Ok(text) => {
                assert_eq!(found, Ok(text.len() as u64), "{answer}");
                assert_eq!(body, text.as_bytes());
            }
            Err(says) => assert!(found.as_ref().unwrap_err().contains(says), "{answer}: {found:?}"),
        }
    }

    #[test]
    fn what_a_server_answers() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0.2.1\n", Ok("192.0.2.1\n"));
        check("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", Ok("to the end"));
        check("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", Err("answered 404"));
        check("HTTP/1.1 204 No Content\r\n\r\n", Err("answered 204"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Err("no bytes"));
        check("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234567890123456", Err("16 bytes"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nshort", Err(""));
    }

    #[test]
    fn redirects_are_followed_where_they_lead_somewhere() {
        let there = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0.2.1\n".to_vec());
        let to = |place: &str| {
            format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
        };
        check(&to(&format!("http://{there}/list.txt")), Ok("192.0.2.1\n"));
        check(&to("ftp://192.0.2.1/list.txt"), Err(""));
        // Whoever listens there is gone after one answer.
        check(&to("/again"), Err(""));
    }

    /// It speaks no TLS, or nobody vouches for it: either way nothing is taken from it.
    #[test]
    fn a_server_without_tls_is_not_believed() {
        let there = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0.2.1\n".to_vec());
        let found = fetch(&format!("https://{there}/"), Limits::default(), &mut Vec::new());
        assert!(matches!(found, Err(FetchError::Unreachable(_))), "{found:?}");
    }

    #[test]
    fn only_http() {
        for url in ["", "ftp://192.0.2.1/x", "https://", "http:///x", "http://a b/", "/etc/passwd"]
        {
            let found = fetch(url, Limits::default(), &mut Vec::new());
            assert!(matches!(found, Err(FetchError::NoUrl)), "{url}");
        }
        assert!(is_url("https://lists.example/apiban.txt"));
    }

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        fn check(url: &str, expected: &str) {
            assert_eq!(shown(url), expected, "{url}");
        }
        check("https://lists.example/a@b.txt", "https://lists.example/a@b.txt");
        check("https://ann:p@ss@lists.example:8443/x", "https://(not shown)@lists.example:8443/x");
        check("https://lists.example?key=5e", "https://lists.example?(not shown)");
        check("http://ann@192.0.2.1", "http://(not shown)@192.0.2.1");
        check("/var/lib/list", "/var/lib/list");
    }

    #[test]
    fn nobody_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let found = fetch(&url, Limits::default(), &mut Vec::new());
        assert!(matches!(found, Err(FetchError::Unreachable(_))), "{found:?}");
    }
}
