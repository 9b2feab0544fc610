//! Ways out of the manual and the dashboard: there are none, however a path is written.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{API, METRICS, address, outpost, wire};

const QUIET: Duration = Duration::from_secs(5);

/// What climbs, before the name of a file.
const CLIMBS: &[&str] = &[
    "../",
    "..%2f",
    "..%2F",
    "%2e%2e/",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..\\",
    "..%5c",
    "%c0%ae%c0%ae/",
    "..;/",
    "....//",
    ".%00./",
    "/",
    "//",
    "%2f",
    "./../",
    "..%00/",
];
const FILES: &[&str] =
    &["etc/passwd", "etc/sipprot/sipprot.toml", "proc/self/environ", "index.html%00.css"];
const DIRECTORIES: &[&str] = &["/docs/", "/assets/", "/", "/api/v1/", "/api/v1/logs/"];
/// What those files, and the page without its contents, have in them.
const SIGNS: &[&str] = &["root:", "state_dir", "SIPPROT_", "PATH=", "{body}"];

#[test]
fn no_path_leads_out_of_what_is_embedded() -> Result<()> {
    let Some(outpost) = outpost(&[])? else { return Ok(()) };
    let mut asked = 0;
    for listener in [API, METRICS] {
        let to = address(listener)?;
        // The control: what is there is given.
        let control = b"GET /docs/settings.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let heard = wire::say(&mut wire::connect(&outpost.host, to)?, control, QUIET)?;
        ensure!(heard.statuses() == [200], "{heard:?}");
        let climbs = |directory: &'static str| {
            CLIMBS.iter().flat_map(move |climb| {
                FILES.iter().map(move |file| format!("{directory}{}{file}", climb.repeat(6)))
            })
        };
        let whole = [
            "http://a/../etc/passwd",
            "file:///etc/passwd",
            "/docs/page.html",
            "/docs/.",
            "/assets/",
        ];
        let paths = DIRECTORIES.iter().copied().flat_map(climbs);
        for path in paths.chain(whole.map(str::to_owned)) {
            let bytes = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let heard = wire::say(&mut wire::connect(&outpost.host, to)?, bytes.as_bytes(), QUIET)?;
            asked += 1;
            let statuses = heard.statuses();
            ensure!(matches!(statuses[..], [400 | 401 | 403 | 404 | 405]), "{path}: {heard:?}");
            let sign = SIGNS.iter().find(|sign| heard.text.contains(**sign));
            ensure!(sign.is_none(), "{path}: {heard:?}");
        }
    }
    println!("{asked} paths");
    Ok(())
}
