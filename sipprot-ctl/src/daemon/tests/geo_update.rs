//! A country database that is fetched by itself: only where a URL is named, and told where it fails.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// Gives these answers, one to each who connects.
fn serve(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/country.mmdb", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    url
}

fn whole(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn fetched(core: &mut Core) {
    for _ in 0..500 {
        core.look_for_newer_countries();
        if !core.geo_update.is_fetching() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is still being fetched");
}

#[tokio::test]
async fn a_newer_database_is_fetched_where_the_operator_says() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("country.mmdb");
    let missing = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec();
    let database = crate::geo::tests::database_built(1);
    let url = serve(vec![missing, whole(&database)]);
    let geo =
        format!("geo.databases = [{target:?}]\ngeo.mode = \"deny\"\ngeo.countries = [\"FR\"]\n");
    let mut core = start(&directory.path().join("state"), &geo);
    core.look_for_newer_countries();
    assert!(!core.geo_update.is_fetching(), "nobody named a URL");
    core.finish(false).unwrap();

    let geo = format!("{geo}geo.update_url = {url:?}\n");
    let mut core = start(&directory.path().join("state"), &geo);
    core.look_for_newer_countries();
    assert!(core.geo_update.is_fetching(), "there is none yet");
    fetched(&mut core).await;
    let problems = status(&mut core).await.problems.join("\n");
    assert!(problems.contains("no newer country database: the server answered 404"), "{problems}");
    core.look_for_newer_countries();
    assert!(!core.geo_update.is_fetching(), "not again at once");

    core.geo_update.make_due();
    core.look_for_newer_countries();
    fetched(&mut core).await;
    assert_eq!(fs::read(&target).unwrap(), database);
    core.look_at_databases();
    while core.opening.is_some() {
        core.take_databases().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let problems = status(&mut core).await.problems.join("\n");
    assert!(!problems.contains("no newer"), "{problems}");
    assert!(problems.contains("more than half a year old"), "built in 1970: {problems}");
    core.geo_update.make_due();
    core.look_for_newer_countries();
    assert!(!core.geo_update.is_fetching(), "the file is young");
}
