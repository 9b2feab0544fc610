//! phpMyAdmin, which half of all scans of web servers look for.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use crate::config::Config;

const CHECK: &str = "web";
const ROOTS: [&str; 7] = [
    "/var/www",
    "/var/www/html",
    "/srv/www",
    "/srv/http",
    "/usr/share/nginx/html",
    "/usr/local/www",
    "/usr/share/webapps",
];
/// By which packages switch it on.
const SWITCHES: [&str; 4] = [
    "/etc/apache2/conf-enabled/phpmyadmin.conf",
    "/etc/httpd/conf.d/phpMyAdmin.conf",
    "/etc/nginx/conf.d/phpmyadmin.conf",
    "/etc/lighttpd/conf-enabled/50-phpmyadmin.conf",
];
const NAMES: [&str; 4] = ["phpmyadmin", "pma", "myadmin", "dbadmin"];
/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 2_000;
const PATHS: [&str; 2] = ["/phpmyadmin/", "/phpMyAdmin/"];
const PORTS_MAX: usize = 8;
const PATIENCE: Duration = Duration::from_millis(500);
const PAGE_MAX: u64 = 64 << 10;

pub fn look(config: &Config) -> Vec<Finding> {
    let mut answers = Vec::new();
    for port in ports(config) {
        let says = |path| asked(port, path).is_some_and(|page| is_phpmyadmin(&page));
        if let Some(path) = PATHS.into_iter().find(|path| says(path)) {
            answers.push(format!("http://127.0.0.1:{port}{path}"));
        }
    }
    vec![judge(&answers, &installed(Path::new("/")))]
}

/// Each once; 80, and those that are guarded.
fn ports(config: &Config) -> Vec<u16> {
    let http = config.guards.http.ports.iter().flat_map(|range| range.first()..=range.last());
    std::iter::once(80).chain(http.filter(|port| *port != 80)).take(PORTS_MAX).collect()
}

fn judge(answers: &[String], installed: &[PathBuf]) -> Finding {
    let remedy = "let only your own networks reach it (Require ip, allow), or remove it";
    match (answers, installed) {
        ([], []) => Finding::ok(CHECK, "no phpMyAdmin was found"),
        ([], [first, ..]) => {
            let what = format!("there is a phpMyAdmin: {}", first.display());
            Finding::warning(CHECK, what, remedy)
        }
        (answers, _) => {
            Finding::warning(CHECK, format!("phpMyAdmin answers at {}", answers.join(", ")), remedy)
        }
    }
}

/// Below the usual roots, no deeper.
fn installed(root: &Path) -> Vec<PathBuf> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let mut found: Vec<PathBuf> =
        SWITCHES.map(below).into_iter().filter(|it| it.exists()).collect();
    for directory in ROOTS.map(below) {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(ENTRIES_MAX);
        found.extend(entries.filter(is_named_so).map(|entry| entry.path()));
    }
    found
}

fn is_named_so(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy().to_lowercase();
    let known = NAMES.iter().any(|known| *known == name || name.starts_with("phpmyadmin"));
    known && entry.path().is_dir()
}

/// What a web server of this host answers.
fn asked(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut page = Vec::new();
    // What came before it broke off counts.
    let _ = stream.take(PAGE_MAX).read_to_end(&mut page);
    Some(String::from_utf8_lossy(&page).into_owned())
}

fn is_phpmyadmin(page: &str) -> bool {
    let status = page.split(' ').nth(1);
    status == Some("200") && page.to_lowercase().contains("phpmyadmin")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::doctor::State;

    #[test]
    fn web_roots() {
        let root = tempfile::tempdir().unwrap();
        assert!(installed(root.path()).is_empty());
        for directory in ["var/www/html/PHPMyAdmin-5.2", "var/www/html/phones", "var/www/pma.bak"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let found = installed(root.path());
        assert!(matches!(found.as_slice(), [it] if it.ends_with("PHPMyAdmin-5.2")), "{found:?}");
        assert_eq!(judge(&[], &found).state, State::Warning);
        assert_eq!(judge(&[], &[]).state, State::Ok);
    }

    #[test]
    fn each_port_is_asked_once() {
        let check = |text: &str, expected: &[u16]| {
            assert_eq!(ports(&Config::parse(Path::new("it"), text).unwrap()), expected, "{text}");
        };
        check("http.ports = [\"80\", \"8080:8081\"]\n", &[80, 8080, 8081]);
        check("http.ports = [\"8080\"]\n", &[80, 8080]);
    }

    #[test]
    fn only_a_page_of_its_own_counts() {
        let check = |page: &'static str, expected: bool| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(page.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            });
            let page = asked(port, PATHS[0]).unwrap();
            assert_eq!(is_phpmyadmin(&page), expected, "{page}");
            assert!(server.join().unwrap().starts_with("GET /phpmyadmin/ HTTP/1.0\r\n"));
        };
        check("HTTP/1.1 200 OK\r\n\r\n<title>phpMyAdmin</title>", true);
        check("HTTP/1.1 404 Not Found\r\n\r\nno /phpmyadmin/ here", false);
        check("HTTP/1.1 200 OK\r\n\r\nwelcome", false);
    }
}
