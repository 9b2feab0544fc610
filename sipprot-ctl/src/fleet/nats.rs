//! The engine that carries it: the only room that knows NATS. Bytes in, bytes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, Republish, RetentionPolicy, StorageType,
};
use async_nats::rustls::pki_types::CertificateDer;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::{ClientConfig, RootCertStore, crypto::ring};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, StatusCode, connection::State};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, info, warn};

/// Which subjects there are.
pub mod subject {
    pub const REPORTS: &str = "fleet.report.*";
    pub const HEALTH: &str = "fleet.health.*";
    pub const DELTA: &str = "fleet.delta";
    pub const SNAPSHOT: &str = "fleet.snap.>";
    pub const MANIFEST: &str = "fleet.snap.manifest";
    pub const LIVE: &str = "fleet.live.>";
    pub const LIVE_DELTA: &str = "fleet.live.delta";
    pub const GET_DELTA: &str = "$JS.API.DIRECT.GET.BLDELTA";
    pub const GET_SNAPSHOT: &str = "$JS.API.DIRECT.GET.BLSNAP.fleet.snap.>";
    /// What hosts may ask of the account in which the streams lie.
    pub const SERVICES: [&str; 4] = [REPORTS, HEALTH, GET_DELTA, GET_SNAPSHOT];

    pub fn report(host: &str) -> String {
        format!("fleet.report.{host}")
    }

    pub fn health(host: &str) -> String {
        format!("fleet.health.{host}")
    }

    pub fn inbox(host: &str) -> String {
        format!("_INBOX.{host}")
    }

    pub fn chunk(set: char, number: usize) -> String {
        format!("fleet.snap.{set}.{number}")
    }

    /// The host in whose name something was sent.
    pub fn host(subject: &str) -> &str {
        subject.rsplit('.').next().unwrap_or_default()
    }
}

const DELTAS: &str = "BLDELTA";
const SNAPSHOTS: &str = "BLSNAP";
const REPORTS: &str = "REPORTS";
const DAY: Duration = Duration::from_secs(86_400);
/// An answer takes longer only while a cluster elects a leader.
const PATIENCE: Duration = Duration::from_secs(4);
const BATCH_MAX: usize = 256;

/// Where and as whom to connect.
#[derive(Clone)]
pub struct Way {
    pub servers: Vec<String>,
    pub seed: String,
    pub ca: String,
    pub name: String,
}

/// A connection that comes back by itself.
#[derive(Clone)]
pub struct Channel {
    client: Client,
    denied: Arc<AtomicU64>,
}

/// Something that came.
pub struct Incoming {
    pub subject: String,
    pub payload: Vec<u8>,
    /// The stream's number, where it lies in one.
    pub sequence: Option<u64>,
    message: Option<async_nats::jetstream::Message>,
}

impl Channel {
    /// Connects as soon as a server is there.
    pub async fn open(way: &Way) -> anyhow::Result<Self> {
        let denied = Arc::new(AtomicU64::new(0));
        let count = denied.clone();
        let options = ConnectOptions::with_nkey(way.seed.clone())
            .name(format!("sipprot {}", way.name))
            .tls_client_config(tls(&way.ca)?)
            .require_tls(true)
            .custom_inbox_prefix(subject::inbox(&way.name))
            .request_timeout(Some(PATIENCE))
            .ignore_discovered_servers()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(u64::try_from(attempts).unwrap_or(8).min(8) * 250)
            })
            .event_callback(move |event| {
                match &event {
                    Event::Connected => info!("fleet: connected"),
                    Event::Disconnected => warn!("fleet: disconnected"),
                    Event::ServerError(error) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        warn!("fleet: {error}");
                    }
                    other => debug!("fleet: {other}"),
                }
                std::future::ready(())
            });
        let servers: Vec<String> = way.servers.iter().map(|it| format!("tls://{it}")).collect();
        let client = options.connect(servers).await.context("cannot use the fleet's servers")?;
        Ok(Self { client, denied })
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Errors that servers told, such as that something is not permitted.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Nobody says whether it came.
    pub async fn publish(&self, subject: String, payload: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.client.publish(subject, payload.into()).await?)
    }

    /// Returns the stream's number once a stream has it; the same `id` is taken once.
    pub async fn publish_kept(
        &self,
        subject: String,
        id: &str,
        payload: Vec<u8>,
    ) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        struct Ack {
            #[serde(default)]
            seq: u64,
            error: Option<serde_json::Value>,
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let answer = self.client.request_with_headers(subject, headers, payload.into()).await?;
        let ack: Ack = serde_json::from_slice(&answer.payload).context("the stream's answer")?;
        match ack.error {
            Some(error) => bail!("the stream refuses it: {error}"),
            None => Ok(ack.seq),
        }
    }

    pub async fn subscribe(&self, subject: &'static str) -> anyhow::Result<Listener> {
        Ok(Listener(self.client.subscribe(subject).await?))
    }

    pub async fn last_delta(&self) -> anyhow::Result<Option<Incoming>> {
        self.get(subject::GET_DELTA.to_owned(), &json!({"last_by_subj": subject::DELTA})).await
    }

    /// The first at or after this number.
    pub async fn delta_from(&self, sequence: u64) -> anyhow::Result<Option<Incoming>> {
        let wanted = json!({"seq": sequence, "next_by_subj": subject::DELTA});
        self.get(subject::GET_DELTA.to_owned(), &wanted).await
    }

    /// Of the snapshot: its manifest or a chunk.
    pub async fn snapshot_part(&self, part: &str) -> anyhow::Result<Option<Incoming>> {
        let place = subject::GET_SNAPSHOT.trim_end_matches(subject::SNAPSHOT);
        self.get(format!("{place}{part}"), &serde_json::Value::Null).await
    }

    async fn get(
        &self,
        place: String,
        wanted: &serde_json::Value,
    ) -> anyhow::Result<Option<Incoming>> {
        let payload = if wanted.is_null() { String::new() } else { wanted.to_string() };
        let answer = self.client.request(place, payload.into()).await?;
        match answer.status {
            None => Ok(Some(Incoming::of(answer))),
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) => Err(anyhow!("{status}: {}", answer.description.unwrap_or_default())),
        }
    }

    /// Makes the streams that are missing. Only the hub may.
    pub async fn make_streams(&self, replicas: usize) -> anyhow::Result<()> {
        let streams = async_nats::jetstream::new(self.client.clone());
        let common = StreamConfig {
            num_replicas: replicas,
            storage: StorageType::File,
            duplicate_window: Duration::from_secs(120),
            ..StreamConfig::default()
        };
        let deltas = StreamConfig {
            name: DELTAS.to_owned(),
            subjects: vec![subject::DELTA.to_owned()],
            max_age: DAY,
            max_bytes: 256 << 20,
            allow_direct: true,
            republish: Some(Republish {
                source: subject::DELTA.to_owned(),
                destination: subject::LIVE_DELTA.to_owned(),
                headers_only: false,
            }),
            ..common.clone()
        };
        let snapshots = StreamConfig {
            name: SNAPSHOTS.to_owned(),
            subjects: vec![subject::SNAPSHOT.to_owned()],
            max_messages_per_subject: 1,
            max_bytes: 256 << 20,
            allow_direct: true,
            ..common.clone()
        };
        let reports = StreamConfig {
            name: REPORTS.to_owned(),
            subjects: vec![subject::REPORTS.to_owned()],
            retention: RetentionPolicy::WorkQueue,
            // A full one refuses: then hosts keep what they have.
            discard: DiscardPolicy::New,
            max_age: 30 * DAY,
            max_bytes: 512 << 20,
            max_message_size: 512 << 10,
            ..common
        };
        for config in [deltas, snapshots, reports] {
            let name = config.name.clone();
            let made = streams.get_or_create_stream(config).await;
            made.map_err(|error| anyhow!("the stream {name}: {error}"))?;
        }
        Ok(())
    }

    /// Hosts' reports, in their order.
    pub async fn reports(&self) -> anyhow::Result<Reports> {
        let streams = async_nats::jetstream::new(self.client.clone());
        let config = pull::Config {
            durable_name: Some("hub".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 4096,
            ..pull::Config::default()
        };
        let stream = streams.get_stream(REPORTS).await?;
        let consumer = stream.get_or_create_consumer("hub", config).await?;
        Ok(Reports(consumer.messages().await?))
    }

    pub async fn flush(&self) {
        let _ = tokio::time::timeout(PATIENCE, self.client.flush()).await;
    }
}

pub struct Listener(async_nats::Subscriber);

impl Listener {
    pub async fn next(&mut self) -> Option<Incoming> {
        self.0.next().await.map(Incoming::of)
    }
}

pub struct Reports(pull::Stream);

impl Reports {
    /// At least one, and what came with it.
    pub async fn batch(&mut self) -> anyhow::Result<Vec<Incoming>> {
        let mut batch = Vec::new();
        let first = self.0.next().await.context("the reports ended")?;
        let mut next = Some(first);
        while let Some(message) = next {
            let message = message?;
            batch.push(Incoming {
                subject: message.subject.to_string(),
                payload: message.payload.to_vec(),
                sequence: None,
                message: Some(message),
            });
            if batch.len() >= BATCH_MAX {
                break;
            }
            next = self.0.next().now_or_never().flatten();
        }
        Ok(batch)
    }
}

impl Incoming {
    fn of(message: async_nats::Message) -> Self {
        let headers = message.headers.as_ref();
        let sequence = headers.and_then(|it| it.get("Nats-Sequence")?.as_str().parse().ok());
        let (subject, payload) = (message.subject.to_string(), message.payload.to_vec());
        Self { subject, payload, sequence, message: None }
    }

    /// It is on the disk: it need not come again.
    pub async fn done(&self) {
        if let Some(message) = &self.message
            && let Err(error) = message.ack().await
        {
            debug!("a report comes again: {error}");
        }
    }
}

/// Whoever the fleet's own authority signed.
fn tls(ca: &str) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.context("the fleet's certificate")?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
