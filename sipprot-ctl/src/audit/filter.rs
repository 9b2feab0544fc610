//! Which records somebody wants to see.

use crate::api::AuditQuery;
use crate::store::AuditRecord;

/// `what` is the whole of a name, or its beginning up to a dot; `address` a part of the target or of a
/// thing that changed.
pub fn matches(record: &AuditRecord, query: &AuditQuery) -> bool {
    let second = record.at.as_second();
    let who = query.who.as_deref().is_none_or(|who| record.who.eq_ignore_ascii_case(who));
    let what = query.what.as_deref().is_none_or(|what| {
        let rest = record.what.strip_prefix(what);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let since = query.since.is_none_or(|since| since <= second);
    let until = query.until.is_none_or(|until| second < until);
    let undoable = query.undoable.is_none_or(|wanted| wanted == super::why_not(record).is_none());
    who && what
        && since
        && until
        && undoable
        && query.address.as_deref().is_none_or(|address| {
            let holds = |text: &str| text.contains(address);
            holds(&record.target)
                || holds(&record.from)
                || record.pairs.iter().any(|pair| holds(&pair.thing()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_narrows() {
        let record = AuditRecord {
            number: 1,
            at: jiff::Timestamp::from_second(1000).unwrap(),
            who: "ann".to_owned(),
            from: "socket".to_owned(),
            what: "list.add".to_owned(),
            target: "deny 203.0.113.7".to_owned(),
            pairs: Vec::new(),
            left_out: None,
            undoes: None,
            undone_by: None,
        };
        let text = |text: &str| Some(text.to_owned());
        let any = AuditQuery::default;
        for (query, expected) in [
            (any(), true),
            (AuditQuery { who: text("Ann"), ..any() }, true),
            (AuditQuery { who: text("an"), ..any() }, false),
            (AuditQuery { what: text("list"), ..any() }, true),
            (AuditQuery { what: text("list.add"), ..any() }, true),
            (AuditQuery { what: text("lis"), ..any() }, false),
            (AuditQuery { address: text("203.0.113"), ..any() }, true),
            (AuditQuery { address: text("198.51"), ..any() }, false),
            (AuditQuery { since: Some(1000), until: Some(1001), ..any() }, true),
            (AuditQuery { since: Some(1001), ..any() }, false),
            (AuditQuery { until: Some(1000), ..any() }, false),
            (AuditQuery { undoable: Some(true), ..any() }, false),
        ] {
            assert_eq!(matches(&record, &query), expected, "{query:?}");
        }
    }
}
