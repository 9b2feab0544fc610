//! A request to the webhook, signed.

use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::queue::Failure;
use crate::config::{Webhook, WebhookFormat};

const TIME: Duration = Duration::from_secs(20);

/// What is sent, and how it is called.
pub struct Request {
    pub id: String,
    pub subject: String,
    pub body: String,
    pub is_critical: bool,
}

/// What `X-Sipprot-Signature` says.
pub fn signature(secret: &str, timestamp: i64, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{timestamp}.{body}").as_bytes());
    let hex =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256={hex}")
}

/// Returns once the receiver has said that it took it.
pub fn send(hook: &Webhook, request: &Request, now: i64) -> Result<(), Failure> {
    let failed = |what: String| Failure { what, concerns_all: true };
    let Some(url) = &hook.url else { return Err(failed("webhook.url is not set".to_owned())) };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIME))
        // A signed body goes where the operator said and nowhere else.
        .max_redirects(0)
        .user_agent(concat!("sipprot/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut post = agent.post(url).header("X-Sipprot-Id", &request.id);
    post = match hook.format {
        WebhookFormat::Ntfy => {
            let ascii: String = request.subject.chars().filter(char::is_ascii).collect();
            post.header("Content-Type", "text/plain; charset=utf-8")
                .header("X-Title", &ascii)
                .header("X-Priority", if request.is_critical { "urgent" } else { "default" })
        }
        _ => post.header("Content-Type", "application/json"),
    };
    if !hook.secret.is_empty() {
        post = post
            .header("X-Sipprot-Timestamp", &now.to_string())
            .header("X-Sipprot-Signature", &signature(&hook.secret, now, &request.body));
    }
    match post.send(request.body.as_bytes()) {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(failed(format!("the webhook answered {}", response.status().as_u16()))),
        Err(ureq::Error::StatusCode(status)) => {
            Err(failed(format!("the webhook answered {status}")))
        }
        // Its words may have the URL in them, which is a secret.
        Err(error) => Err(failed(error.to_string().replace(url.as_str(), "the webhook"))),
    }
}
