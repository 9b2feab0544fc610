//! What everybody may see before a login: the operator's name for this, its colours and its logo.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use jiff::Timestamp;

use super::Rooms;
use super::asker::Asker;
use super::routes::Called;
use crate::api::{Fault, Welcome};
use crate::config::Branding;

const LOGO_MAX: u64 = 64 << 10;
/// Of an image that somebody opens as a page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Changes with the configuration; nobody has to ask the daemon for it, so that strangers don't.
pub(super) type Worn = Arc<RwLock<Branding>>;

impl Rooms {
    pub fn wear(&self, branding: &Branding) {
        branding.clone_into(&mut self.worn.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn worn(&self) -> Branding {
        self.worn.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) async fn welcome(State(rooms): State<Rooms>, _: Asker) -> Called {
    let Branding { name, logo, colour, ground } = rooms.worn();
    let logo = match logo {
        Some(path) => aside(move || tag(&path)).await?,
        None => None,
    };
    let has_users = !rooms.access.users(Timestamp::now()).users.is_empty();
    Ok(axum::Json(Welcome { name, colour, ground, logo, has_users }).into_response())
}

pub(super) async fn logo(State(rooms): State<Rooms>, _: Asker) -> Called {
    let absent = || Fault::not_found("there is no logo");
    let path = rooms.worn().logo.ok_or_else(absent)?;
    let (kind, bytes) = aside(move || image(&path)).await?.ok_or_else(absent)?;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=86400"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, bytes).into_response())
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::internal())
}

/// Another one for another file.
fn tag(path: &Path) -> Option<String> {
    image(path)?;
    let at = std::fs::metadata(path).and_then(|it| it.modified()).ok()?;
    Some(format!("{:x}", at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()))
}

/// Nothing but images: the path is an admin's, who sees it is everybody.
fn image(path: &Path) -> Option<(&'static str, Vec<u8>)> {
    let found = std::fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > LOGO_MAX {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    Some((kind(&bytes)?, bytes))
}

fn kind(bytes: &[u8]) -> Option<&'static str> {
    let is_svg = || {
        let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
        let begins = ["<svg", "<?xml", "<!--", "<!DOCTYPE svg"];
        (begins.iter().any(|it| text.starts_with(it)) && text.contains("<svg")).then_some(())
    };
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => is_svg().map(|()| "image/svg+xml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_are_logos() {
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), Some("image/png"));
        assert_eq!(kind(b"<?xml version='1.0'?>\n<svg/>"), Some("image/svg+xml"));
        assert_eq!(kind(b"\xef\xbb\xbf <svg xmlns=\"\"/>"), Some("image/svg+xml"));
        for other in [&b"root:x:0:0:<svg"[..], b"-----BEGIN PRIVATE KEY-----", b"", b"<html><svg>"]
        {
            assert_eq!(kind(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_large_or_no_file_is_no_logo() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("logo.svg");
        std::fs::write(&file, "<svg/>").unwrap();
        assert!(tag(&file).is_some());
        std::fs::write(&file, "<svg/>".repeat(20_000)).unwrap();
        assert_eq!(image(&file), None);
        assert_eq!(image(directory.path()), None);
    }
}
