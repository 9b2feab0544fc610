//! The lists that the configuration gives an endpoint.

use super::*;

const FRIEND: &str = "198.51.100.7";
const FOE: &str = "203.0.113.7";
const CONFIG: &str = "[[endpoint]]\nname = \"pbx1\"\naddresses = [\"192.0.2.11\"]\n\
                      allow = [\"198.51.100.0/24\"]\ndeny = [\"203.0.113.7\"]\n\
                      [[endpoint]]\nname = \"pbx2\"\naddresses = [\"192.0.2.12\"]\n";

#[tokio::test]
async fn they_are_told_with_their_endpoint() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), CONFIG);
    let friend = check(&mut core, FRIEND).await;
    assert!(friend.allowed && !friend.denied);
    let entry = &friend.entries[0];
    assert_eq!(
        (entry.ip.as_str(), entry.endpoint.as_deref(), entry.added_by.as_str()),
        ("198.51.100.0/24", Some("pbx1"), "configuration")
    );
    let foe = check(&mut core, FOE).await;
    assert!(foe.denied && !foe.allowed);
    let lists = status(&mut core).await.lists;
    assert_eq!((lists.allow, lists.deny), (1, 1));
}

#[tokio::test]
async fn only_the_file_takes_them_away() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), CONFIG);
    let unblock = Command::Unblock { address: FOE.parse().unwrap(), by: "ann".to_owned() };
    match ask(&mut core, unblock).await.unwrap() {
        Answer::Done(done) => {
            assert!(done.message.contains("still denied by 203.0.113.7"), "{done:?}");
        }
        other => panic!("{other:?}"),
    }
    let network = FOE.parse().unwrap();
    let (by, consent) = ("ann".to_owned(), Consent::default());
    let remove = Command::RemoveEntry { list: List::Deny, network, by, consent };
    assert!(ask(&mut core, remove).await.is_err());
    assert!(check(&mut core, FOE).await.denied);
}

#[test]
fn a_change_of_them_is_seen() {
    let parse = |text: &str| Config::parse(Path::new("test.toml"), text).unwrap();
    let (before, same) = (parse(CONFIG), parse(CONFIG));
    assert!(crate::daemon::lists::configured::are_same(&before, &same));
    let moved = CONFIG.replace("203.0.113.7", "203.0.113.8");
    assert!(!crate::daemon::lists::configured::are_same(&before, &parse(&moved)));
}
