//! Settings, the audit log and undo.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::asker::Asker;
use super::consent::Consented;
use super::error::{Body, Params};
use super::routes::{By, Called, answer, parsed};
use crate::api::{Answer, AuditQuery, Command, Consent, Fault, SettingsChange};

/// The version is an ETag, too.
pub(super) async fn show(asker: Asker) -> Called {
    tagged(asker.call(Command::Settings).await?)
}

pub(super) async fn change(
    asker: Asker,
    headers: HeaderMap,
    Consented(consent): Consented,
    Body(mut change): Body<SettingsChange>,
) -> Called {
    let tag = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    if let Some(tag) = tag.filter(|tag| *tag != "*") {
        change.version = Some(tag.trim_matches('"').to_owned());
    }
    carried(&asker, Command::ChangeSettings { change, consent }, consent).await
}

pub(super) async fn audit(asker: Asker, Params(query): Params<AuditQuery>) -> Called {
    answer(&asker, Command::Audit { query }).await
}

pub(super) async fn undo(
    asker: Asker,
    Path(number): Path<String>,
    Consented(consent): Consented,
    Params(By { by }): Params<By>,
) -> Called {
    let number = parsed::<u64>("number", &number, "the number of a record")?;
    carried(&asker, Command::Undo { number, by, right: asker.who.right, consent }, consent).await
}

/// What lies ready is put in force.
async fn carried(asker: &Asker, command: Command, consent: Consent) -> Called {
    let answer = match asker.call(command).await? {
        Answer::Staged(staged) => asker.call(Command::ApplySettings { staged, consent }).await?,
        answer => answer,
    };
    tagged(answer)
}

fn tagged(answer: Answer) -> Result<Response, Fault> {
    let version = match &answer {
        Answer::Settings(settings) => Some(&settings.version),
        Answer::SettingsChanged(changed) => Some(&changed.version),
        _ => None,
    };
    let tag = version.and_then(|it| HeaderValue::from_str(&format!("\"{it}\"")).ok());
    let mut response = axum::Json(answer).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}
