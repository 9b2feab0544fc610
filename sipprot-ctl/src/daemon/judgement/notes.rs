//! The notes that denials get by themselves, in the words that operators know.

use crate::rules::RuleId;
use crate::store::BlockRecord;

pub const BY_ADMINISTRATOR: &str = "an administrator";
pub const BY_ITSELF: &str = "sipPROT";

/// `IP address has been added by … due to suspicious activity. The IP had made 15 unauthorized
/// registration attempts within a minute, exceeding the blocking rule threshold of 10.`
pub fn of_block(record: &BlockRecord, by: &str) -> String {
    let head = format!("IP address has been added by {by} due to suspicious activity.");
    let (Some(rule), Some(evidence)) = (RuleId::named(&record.rule), &record.evidence) else {
        return format!("{head} {}: {}", record.rule, record.reason);
    };
    let what = match rule {
        RuleId::Register | RuleId::RegisterHour | RuleId::RegisterDay => {
            "unauthorized registration attempts".to_owned()
        }
        rule => format!("of: {}", rule.help()),
    };
    let made = format!("{head} The IP had made {} {what}", evidence.count);
    match (evidence.limit, evidence.window_s) {
        (Some(limit), Some(window_s)) => {
            let window = crate::why::span(window_s);
            let reached = if evidence.count > limit { "exceeding" } else { "reaching" };
            format!("{made} within {window}, {reached} the blocking rule threshold of {limit}.")
        }
        _ => format!("{made}."),
    }
}
