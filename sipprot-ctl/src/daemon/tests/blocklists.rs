//! Lists that others keep: taken in, kept over failures, and never against the host's own.

use std::fs;

use super::*;
use crate::api::{BlocklistView, BlocklistsAnswer};

/// A daemon whose only blocklist is a file in the directory.
fn start_with(directory: &Path, list: &str, more: &str) -> Core {
    let file = directory.join("list.txt");
    fs::write(&file, list).unwrap();
    let blocklist = format!("[[blocklist]]\nname = \"theirs\"\nfile = {file:?}\n{more}\n");
    start(&directory.join("state"), &format!("peers = [\"198.51.100.9\"]\n{blocklist}"))
}

async fn view(core: &mut Core) -> BlocklistView {
    match ask(core, Command::Blocklists { query: Default::default() }).await.unwrap() {
        Answer::Blocklists(BlocklistsAnswer { mut blocklists, .. }) => blocklists.remove(0),
        other => panic!("{other:?}"),
    }
}

/// Lets it be read once more.
async fn read_again(core: &mut Core) {
    core.feeds.iter_mut().for_each(Feed::make_due);
    for _ in 0..200 {
        core.look_at_blocklists();
        if !core.feeds[0].is_reading() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the list is not read");
}

const LIST: &str = "# theirs\n203.0.113.0/24 # all of it\n203.0.113.77\n10.0.0.0/16\n\
                    198.51.100.0/24\n128.0.0.0/8\nnonsense\n2001:db8:1::/48\n";

#[tokio::test]
async fn a_list_of_others_denies_and_says_who_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_with(directory.path(), LIST, "");
    assert!(!check(&mut core, "203.0.113.5").await.denied, "not read yet");
    read_again(&mut core).await;
    let found = view(&mut core).await;
    assert_eq!((found.entries, found.spared, found.too_wide, found.unreadable), (3, 2, 1, 1));
    let found = check(&mut core, "203.0.113.5").await;
    assert!(found.denied);
    let entry = &found.entries[0];
    assert_eq!((entry.origin.as_str(), entry.added_by.as_str()), ("feed", "theirs"));
    for spared in ["198.51.100.9", "198.51.100.10", "10.0.0.1", "128.0.0.1"] {
        assert!(!check(&mut core, spared).await.denied, "{spared}");
    }
    assert_eq!(status(&mut core).await.lists.deny, 0, "not the operator's");

    // What it shares with the operator's own list is not taken away with that.
    ask(&mut core, add(List::Deny, "203.0.113.77")).await.unwrap();
    let unblock = Command::Unblock { address: [203, 0, 113, 77].into(), by: "ann".to_owned() };
    let Answer::Done(done) = ask(&mut core, unblock).await.unwrap() else { panic!() };
    assert!(done.message.contains("still denied by 203.0.113.77"), "{}", done.message);
    assert_eq!(core.extra_items()[List::Deny as usize].len(), 3);
}

#[tokio::test]
async fn what_was_read_holds_until_it_expires() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list.txt");
    let mut core = start_with(directory.path(), LIST, "expires = \"1h\"");
    read_again(&mut core).await;
    for wrong in ["", "<html>moved</html>\n"] {
        fs::write(&file, wrong).unwrap();
        read_again(&mut core).await;
        assert_eq!(view(&mut core).await.problem.as_deref(), Some("no entries"));
    }
    fs::remove_file(&file).unwrap();
    read_again(&mut core).await;
    assert!(status(&mut core).await.problems.join("").contains("the blocklist theirs"));
    assert!(check(&mut core, "203.0.113.5").await.denied);
    core.finish(false).unwrap();

    let mut core = start_with(directory.path(), "", "expires = \"1h\"");
    assert!(check(&mut core, "203.0.113.5").await.denied, "as it was read last");
    core.feeds[0].read_long_ago();
    core.look_at_blocklists();
    assert!(!check(&mut core, "203.0.113.5").await.denied);
    assert_eq!(core.extra_items()[List::Deny as usize].len(), 0);
}

#[tokio::test]
async fn a_list_may_only_watch() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_with(directory.path(), LIST, "mode = \"observe\"");
    read_again(&mut core).await;
    let found = check(&mut core, "203.0.113.5").await;
    assert_eq!((found.denied, found.watched_by), (false, vec!["theirs".to_owned()]));
    assert_eq!(core.extra_items()[List::Deny as usize].len(), 0);

    // Who comes from it is counted, and customers among them.
    talk(&mut core, "203.0.113.7", Method::Register, Direction::Inbound, (1, 200), Proof::Nonce);
    for source in ["203.0.113.5", "203.0.113.5", "203.0.113.7", "198.51.100.9"] {
        core.watch(source.parse().unwrap());
    }
    let seen = view(&mut core).await.seen;
    assert_eq!((seen.events, seen.sources, seen.trusted), (3, 2, 1));
    core.open_blocklists();
    assert_eq!(view(&mut core).await.seen, seen, "a reload forgets nothing of it");
}

#[tokio::test]
async fn what_becomes_of_a_list_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list.txt");
    let mut core = start_with(directory.path(), LIST, "expires = \"1h\"");
    read_again(&mut core).await;
    read_again(&mut core).await;
    fs::remove_file(&file).unwrap();
    read_again(&mut core).await;
    read_again(&mut core).await;
    core.feeds[0].read_long_ago();
    core.look_at_blocklists();
    let told: Vec<String> =
        core.live.last(9, &Default::default()).iter().map(|it| it.what.clone()).collect();
    let [read, failed, expired] = &told[..] else { panic!("each once: {told:?}") };
    assert_eq!(read, "the blocklist theirs has 3 entries");
    assert!(failed.starts_with("the blocklist theirs could not be read: "), "{failed}");
    assert_eq!(expired, "the blocklist theirs has expired: it denies nobody any more");
}

#[tokio::test]
async fn a_reading_that_nobody_waits_for_any_more_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_with(directory.path(), LIST, "");
    read_again(&mut core).await;
    let kept = directory.path().join("state/blocklists");
    fs::write(directory.path().join("list.txt"), "203.0.113.99\n").unwrap();
    core.feeds.iter_mut().for_each(Feed::make_due);
    core.look_at_blocklists();
    assert!(core.feeds[0].is_reading());
    core.feeds.clear();
    // Its thread ends in its own time.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let names: Vec<_> = fs::read_dir(&kept).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["theirs.txt"]);
    assert_eq!(fs::read_to_string(kept.join("theirs.txt")).unwrap(), LIST);
}
