//! Users, logins and tokens, with a store and without.

use std::path::Path;

use super::*;
use crate::api::{Right, Role};

const TIMES: Times =
    Times { idle: Duration::from_secs(3600), whole: Duration::from_secs(12 * 3600) };
const PASSWORD: &str = "correct horse battery";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn from() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn open(directory: &Path) -> Access {
    let store = Store::open(directory).unwrap().0;
    Access::load(Some(Arc::new(store)), TIMES).unwrap()
}

fn user(name: &str, role: Role) -> NewUser {
    let password = Secret(PASSWORD.to_owned());
    NewUser { name: name.to_owned(), role, password, by: "root".to_owned() }
}

fn log_in(access: &Access, name: &str, password: &str, now: i64) -> Result<String, Refusal> {
    let login = LogIn { name: name.to_owned(), password: Secret(password.to_owned()) };
    access.log_in(&login, from(), at(now))
}

/// Whose login it is, and what they may do.
fn who(access: &Access, cookie: &str, now: i64) -> Option<(String, Right)> {
    let (who, _) = access.by_session(cookie, from(), at(now))?;
    assert_eq!(who.address, Some(from()));
    Some((who.name, who.right))
}

fn told(result: Result<(), Fault>) -> String {
    result.map_or_else(|fault| fault.to_string(), |()| "done".to_owned())
}

#[test]
fn a_login_lasts_as_long_as_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let access = open(directory.path());
    access.add_user(&user("ann", Role::Viewer), at(0)).unwrap();
    assert_eq!(log_in(&access, "ann", "wrong", 0), Err(Refusal::Wrong));
    assert_eq!(log_in(&access, "Ann", PASSWORD, 0), Err(Refusal::Wrong));
    let cookie = log_in(&access, "ann", PASSWORD, 0).unwrap();
    let ann = Some(("ann".to_owned(), Right::Read));
    assert_eq!(who(&access, "another", 1), None);
    assert_eq!(who(&access, &cookie, 3599), ann);
    assert_eq!(who(&access, &cookie, 2 * 3599), ann, "every request counts");
    assert_eq!(who(&access, &cookie, 2 * 3599 + 3600), None, "idle");
    let cookie = log_in(&access, "ann", PASSWORD, 10_000).unwrap();
    for hour in 0..12 {
        assert_eq!(who(&access, &cookie, 10_000 + hour * 3599), ann);
    }
    assert_eq!(who(&access, &cookie, 10_000 + 12 * 3600), None, "whatever is done");
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let access = open(directory.path());
    access.add_user(&user("ann", Role::Admin), at(0)).unwrap();
    access.add_user(&user("bob", Role::Admin), at(0)).unwrap();
    let new = NewToken {
        name: "grafana".to_owned(),
        scope: Right::Lists,
        expires_in_s: Some(100),
        by: "ann".to_owned(),
    };
    let token = access.add_token(&new, at(0)).unwrap().token.0;
    let (cookie, ended) =
        (log_in(&access, "ann", PASSWORD, 1), log_in(&access, "bob", PASSWORD, 1));
    let (cookie, ended) = (cookie.unwrap(), ended.unwrap());
    access.log_out(&ended).unwrap();
    let (_, seen) = access.by_session(&cookie, from(), at(3000)).unwrap();
    access.store_seen(&seen);
    drop(access);

    let access = open(directory.path());
    assert_eq!(who(&access, &cookie, 6000), Some(("ann".to_owned(), Right::Admin)));
    assert_eq!(who(&access, &ended, 2), None);
    let by_token = |now| Some(access.by_token(&token, from(), at(now))?.0.right);
    assert_eq!((by_token(99), by_token(100)), (Some(Right::Lists), None));
    assert_eq!(access.users(at(6000)).users.len(), 2);
    drop(access);

    // The export alone brings back users and tokens; who was logged in logs in again.
    for entry in std::fs::read_dir(directory.path()).unwrap().flatten() {
        if entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let access = open(directory.path());
    assert_eq!(who(&access, &cookie, 6000), None);
    assert!(log_in(&access, "ann", PASSWORD, 6000).is_ok());
    assert!(access.by_token(&token, from(), at(99)).is_some());
    access.revoke_token("grafana").unwrap();
    assert!(access.by_token(&token, from(), at(99)).is_none());
    assert_eq!(told(access.revoke_token("grafana")), "there is no token \"grafana\"");
}

fn edit() -> EditUser {
    EditUser { role: None, password: None, end_logins: false, by: "root".to_owned() }
}

#[test]
fn the_last_admin_stays() {
    let directory = tempfile::tempdir().unwrap();
    let access = open(directory.path());
    for (name, role) in [("ann", Role::Admin), ("bob", Role::Viewer)] {
        access.add_user(&user(name, role), at(0)).unwrap();
    }
    let become_of =
        |name: &str, role| told(access.edit_user(name, &EditUser { role: Some(role), ..edit() }));
    assert_eq!(told(access.add_user(&user("BOB", Role::Admin), at(0))), "there is a user \"BOB\"");
    assert_eq!(told(access.remove_user("ann")), "ann is the last admin");
    assert_eq!(become_of("ann", Role::Viewer), "ann is the last admin");
    let cookie = log_in(&access, "bob", PASSWORD, 0).unwrap();
    assert_eq!(become_of("bob", Role::Admin), "done");
    assert_eq!(who(&access, &cookie, 1), Some(("bob".to_owned(), Right::Admin)), "at once");
    assert_eq!(become_of("ann", Role::Viewer), "done");
    assert_eq!(told(access.remove_user("ann")), "done");
    assert_eq!(told(access.remove_user("ann")), "there is no user \"ann\"");
    assert_eq!(told(access.remove_user("bob")), "bob is the last admin");
}

#[test]
fn another_password_ends_the_other_logins() {
    let directory = tempfile::tempdir().unwrap();
    let access = open(directory.path());
    access.add_user(&user("ann", Role::Admin), at(0)).unwrap();
    let [own, other] = [0, 1].map(|now| log_in(&access, "ann", PASSWORD, now).unwrap());
    let (ann, _) = access.by_session(&own, from(), at(2)).unwrap();
    let change = |old: &str, new: &str| {
        let new = NewPassword { old: Secret(old.to_owned()), new: Secret(new.to_owned()) };
        access.change_password(&ann, &new, &own, at(3))
    };
    assert_eq!(change("wrong", "another horse battery"), Err(Refusal::Wrong));
    assert!(matches!(change(PASSWORD, "short"), Err(Refusal::Fault(_))));
    assert!(who(&access, &other, 4).is_some());
    assert_eq!(change(PASSWORD, "another horse battery"), Ok(()));
    assert_eq!((who(&access, &own, 5).is_some(), who(&access, &other, 5)), (true, None));
    assert_eq!(log_in(&access, "ann", PASSWORD, 6), Err(Refusal::Wrong));
    assert!(log_in(&access, "ann", "another horse battery", 7).is_ok());
    // By an admin, all of them.
    let password = Some(Secret("a third horse battery".to_owned()));
    access.edit_user("ann", &EditUser { password, ..edit() }).unwrap();
    assert_eq!(who(&access, &own, 8), None);
    // Or without another password.
    let cookie = log_in(&access, "ann", "a third horse battery", 9).unwrap();
    access.edit_user("ann", &EditUser { end_logins: true, ..edit() }).unwrap();
    assert_eq!(who(&access, &cookie, 10), None);
    assert!(log_in(&access, "ann", "a third horse battery", 11).is_ok());
}

#[test]
fn failures_make_wait() {
    let directory = tempfile::tempdir().unwrap();
    let access = open(directory.path());
    access.add_user(&user("ann", Role::Admin), at(0)).unwrap();
    for _ in 0..3 {
        assert_eq!(log_in(&access, "ann", "wrong", 0), Err(Refusal::Wrong));
    }
    let waits = log_in(&access, "ann", PASSWORD, 0);
    assert!(matches!(waits, Err(Refusal::Wait(_))), "the right one has to wait, too: {waits:?}");
    assert!(log_in(&access, "ann", PASSWORD, 100).is_ok());
}

#[test]
fn without_a_store_nothing_is_promised() {
    let access = Access::load(None, TIMES).unwrap();
    let told = told(access.add_user(&user("ann", Role::Admin), at(0)));
    assert_eq!(told, "the store can't be used: see the daemon's log");
    assert_eq!(log_in(&access, "ann", PASSWORD, 0), Err(Refusal::Wrong));
}

#[test]
fn names_are_plain() {
    fn check(name: &str, expected: bool) {
        assert_eq!(super::book::check_name(name).is_ok(), expected, "{name}");
    }
    check("ann", true);
    check("ann.b-c_d@pbx.example", true);
    for wrong in ["", "..", "-ann", "a b", "a/b", "été", "a\n", &"x".repeat(33)] {
        check(wrong, false);
    }
}
