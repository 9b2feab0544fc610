//! Pictures, and what keys do to them.

use super::super::rates::rated;
use super::super::terminal::Key;
use super::super::view::{Action, Step};
use super::*;
use crate::api::{EventView, ListCounts, LiveEvent, LiveKind, Top, TopEndpoint, Traffic};

fn attacker(source: &str, dropped: u64) -> TopAttacker {
    TopAttacker {
        source: source.to_owned(),
        country: None,
        endpoint: Some("pbx1".to_owned()),
        state: "blocked".to_owned(),
        reason: "BRUTEFORCE:register".to_owned(),
        user_agent: Some("a\x1b[2Jb\u{202e}c".to_owned()),
        dropped,
        last: 0,
        expires_at: None,
    }
}

fn top(at_ms: u64, dropped: u64, attackers: Vec<TopAttacker>) -> Top {
    let drops = [("blocked".to_owned(), dropped)].into();
    let traffic = Traffic { passed: 5, sip: 3, dropped, observed: 0, drops };
    Top {
        at_ms,
        host: "pbx\x1b]0;title\x07".to_owned(),
        version: String::new(),
        protected: true,
        mode: "enforce".to_owned(),
        problems: Vec::new(),
        interfaces: Vec::new(),
        traffic: traffic.clone(),
        lists: ListCounts::default(),
        events: EventView::default(),
        endpoints: vec![TopEndpoint {
            name: "pbx1".to_owned(),
            mode: "enforce".to_owned(),
            traffic,
            blocks: 1,
        }],
        attackers,
        gateway: None,
        latest: vec![LiveEvent {
            id: 1,
            at: 0,
            kind: LiveKind::Block,
            source: None,
            endpoint: None,
            what: "blocked\r\n\x1b[31m".to_owned(),
            block: None,
            alert: None,
            lost: None,
        }],
    }
}

fn two_looks() -> Rated {
    let before = top(1000, 100, vec![attacker("192.0.2.1", 90), attacker("192.0.2.2", 10)]);
    let now = top(3000, 1100, vec![attacker("192.0.2.1", 90), attacker("192.0.2.2", 1010)]);
    rated(Some(&before), now)
}

#[test]
fn rates_are_differences() {
    let rated = two_looks();
    assert_eq!((rated.seconds, rated.traffic.dropped), (2.0, 500.0));
    assert_eq!(rated.attackers["192.0.2.1"], 0.0);
    assert_eq!(rated.attackers["192.0.2.2"], 500.0);
    let again = super::super::rates::rated(Some(&rated.now), top(4000, 7, Vec::new()));
    assert_eq!(again.traffic.dropped, 0.0, "counts that began anew");
    assert_eq!(super::super::rates::rated(None, rated.now).traffic.dropped, 0.0);
}

#[test]
fn nothing_that_strangers_wrote_steers_the_terminal() {
    for height in [None, Some(24), Some(3)] {
        for width in [0, 1, 40, 200] {
            let paper = Paper { width, height, colour: true };
            for line in frame(&two_looks(), &View::default(), &paper) {
                assert!(crate::message::is_clean(&line.text), "{:?}", line.text);
                assert!(line.text.chars().count() <= width, "{width}: {:?}", line.text);
            }
        }
    }
}

#[test]
fn it_is_as_high_as_the_screen() {
    let mut all = two_looks();
    let many = (0..300).map(|number| attacker(&format!("198.51.100.{number}"), number));
    all.now.attackers = many.collect();
    let mut view = View::default();
    for height in [1, 5, 10, 24, 60] {
        let paper = Paper { width: 80, height: Some(height), colour: false };
        assert_eq!(frame(&all, &view, &paper).len(), height);
    }
    // What is selected is in sight, however far down.
    (0..250).for_each(|_| _ = view.press(Key::Down, &all));
    let source = view.selected.clone().unwrap();
    let paper = Paper { width: 80, height: Some(24), colour: false };
    let shown = frame(&all, &view, &paper);
    let selected: Vec<&Line> = shown.iter().filter(|it| it.style == Style::Selected).collect();
    assert!(matches!(selected.as_slice(), [it] if it.text.starts_with(&source)), "{shown:?}");
}

#[test]
fn who_attacks_now_is_first_and_can_be_filtered() {
    let rated = two_looks();
    let mut view = View::default();
    let order = |view: &View| -> Vec<String> {
        view.attackers(&rated).iter().map(|it| it.source.clone()).collect()
    };
    assert_eq!(order(&view), ["192.0.2.2", "192.0.2.1"]);
    for (key, sort) in [('s', "dropped"), ('s', "last"), ('s', "source"), ('s', "rate")] {
        view.press(Key::Char(key), &rated);
        assert_eq!(view.sort.name(), sort);
    }
    for key in ['/', '.', '1'] {
        view.press(Key::Char(key), &rated);
    }
    assert_eq!(order(&view), ["192.0.2.1"]);
    view.press(Key::Escape, &rated);
    assert_eq!(order(&view).len(), 2);
}

#[test]
fn changes_are_asked_about_first() {
    let rated = two_looks();
    let mut view = View::default();
    assert_eq!(view.press(Key::Char('u'), &rated), Step::Stay);
    assert!(view.said.contains("choose"), "{}", view.said);
    view.press(Key::Down, &rated);
    view.press(Key::Char('d'), &rated);
    assert_eq!(view.press(Key::Char('n'), &rated), Step::Stay);
    view.press(Key::Char('u'), &rated);
    let source = "192.0.2.2".parse().unwrap();
    assert_eq!(view.press(Key::Char('y'), &rated), Step::Do(Action::Unblock(source)));
    assert_eq!(view.press(Key::Char('q'), &rated), Step::End);
    view.press(Key::Char('d'), &rated);
    assert_eq!(view.press(Key::Interrupt, &rated), Step::End);
}
