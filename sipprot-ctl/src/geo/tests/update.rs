//! A new database in the place of an old one.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::fetch::Limits;
use crate::geo::update::{UpdateError, update};

const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: 1 << 20 };

fn file(root: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    put(root, name, bytes);
    root.path().join(name).display().to_string()
}

/// What lies in the directory of the databases.
fn names(target: &Path) -> Vec<String> {
    let entries = fs::read_dir(target.parent().unwrap()).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_one_before_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("GeoIP/sipprot-country.mmdb");
    let first = update(&file(&root, "a", &database_built(1)), &target, LIMITS).unwrap();
    assert_eq!(
        (first.name.as_str(), first.built_at, first.countries),
        ("Test-Country", Some(1), 3)
    );
    assert_eq!(first.previous, None);
    let second = update(&file(&root, "b", &database_built(2)), &target, LIMITS).unwrap();
    assert_eq!(fs::read(&target).unwrap(), database_built(2));
    assert_eq!(fs::read(second.previous.unwrap()).unwrap(), database_built(1));
    assert_eq!(names(&target), ["sipprot-country.mmdb", "sipprot-country.mmdb.previous"]);
}

#[test]
fn gzip_is_unpacked_and_urls_are_fetched() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("GeoIP/sipprot-country.mmdb");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&database_built(7)).unwrap();
    let packed = packed.finish().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.mmdb.gz", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", packed.len());
        stream.write_all(&[head.as_bytes(), &packed].concat()).unwrap();
    });
    let done = update(&url, &target, LIMITS).unwrap();
    assert_eq!((done.built_at, names(&target).len()), (Some(7), 1));
    assert_eq!(fs::read(&target).unwrap(), database_built(7));
}

#[test]
fn what_is_no_database_replaces_nothing() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("GeoIP/sipprot-country.mmdb");
    update(&file(&root, "a", &database_built(1)), &target, LIMITS).unwrap();
    let without = write_database(&[("198.51.100.0/24", Data::map([]))], 24, 1);
    let half = &database_built(2)[..database_built(2).len() / 2];
    let large = vec![0; 1 << 21];
    let check = |bytes: &[u8], expected: fn(&UpdateError) -> bool| {
        let error = update(&file(&root, "b", bytes), &target, LIMITS).unwrap_err();
        assert!(expected(&error), "{error}");
    };
    check(b"", |error| matches!(error, UpdateError::NoDatabase(_)));
    check(b"<html>not here</html>", |error| matches!(error, UpdateError::NoDatabase(_)));
    check(half, |error| matches!(error, UpdateError::NoDatabase(_)));
    check(&without, |error| matches!(error, UpdateError::NoCountries));
    check(&large, |error| matches!(error, UpdateError::TooLarge(_)));
    check(&[0x1f, 0x8b, 0, 0], |error| matches!(error, UpdateError::File(..)));
    let nowhere = update("/nowhere/x.mmdb", &target, LIMITS);
    assert!(matches!(nowhere, Err(UpdateError::File(..))), "{nowhere:?}");
    assert_eq!(fs::read(&target).unwrap(), database_built(1));
    assert_eq!(names(&target), ["sipprot-country.mmdb"]);
}
