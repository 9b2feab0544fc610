//! The JSON that daemon and CLI exchange: one type per answer.
//!
//! [`Command`]s go in, [`Answer`]s or a [`Fault`] come out. How they travel is `http`'s affair, who
//! answers them is `daemon`'s. Times are Unix seconds, durations seconds, addresses text.

mod access;
mod answers;
mod audit;
mod consent;
mod fault;
mod fleet;
mod geo;
mod learn;
mod lists;
mod live;
mod notices;
mod report;
mod schema;
mod service;
mod settings;
mod sheet;
mod summary;
mod top;
mod verify;
mod welcome;
mod who;
mod why;

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use access::{
    EditUser, LogIn, MadeToken, NewPassword, NewToken, NewUser, Role, Secret, SessionView,
    TokenView, TokensAnswer, UserView, UsersAnswer,
};
pub use answers::{
    AlertView, BlockView, BlocklistView, BlocklistsAnswer, BlocksAnswer, Check, Counts, Done,
    EndpointSetting, EndpointView, Entries, Entry, EventView, GeoData, GeoPolicyView, GeoView,
    GuardView, Ingested, InterfaceView, ListCounts, LogView, MapFill, PeerView, PeersAnswer,
    SeenView, Status, StoreView, TrustAnswer, TrustView, Version, country_name,
};
pub use audit::{AuditAnswer, AuditChange, AuditNote, AuditOrder, AuditQuery, AuditView, Noted};
pub use consent::{Consent, PendingView};
pub use fault::{Code, Fault, FaultBody};
pub use fleet::{
    FleetAccount, FleetAnswer, FleetDecision, FleetEvidence, FleetHost, FleetHosts, FleetJudge,
    FleetJudged, FleetLog, FleetLogQuery, FleetNetwork, FleetProtect, FleetQuery, FleetSource,
    FleetSources, Judgement, RefusedView,
};
pub use geo::{Affected, GeoChange, GeoPreview, NetworkCount};
pub use learn::{
    Accepted, EndpointLoad, LearnAccept, LearnProposal, LearnStart, LearnState, LearnStatus,
    ModeChange, ProposedLimit, ProposedPeer, SourcePeak, WouldView,
};
pub use lists::{
    Aggregate, AggregateAnswer, DenyBlocks, EditEntry, Expiry, FoundMerges, ListQuery, Merged,
    MoveEntries, RemoveEntries, RemovedAnswer, SortBy,
};
pub use live::{FOLLOWERS_MAX, Followed, Live, LiveEvent, LiveEvents, LiveFilter, LiveKind};
pub use notices::{
    DeliveryView, NotifyLog, NotifyLogQuery, NotifyStatus, NotifyTest, NotifyTested, TestResult,
};
pub use report::{
    AbuseReport, AbuseRow, CountryRow, Handled, Report, ReportOrder, ReportQuery, ReportRow,
};
pub use schema::Network;
pub use service::{ServiceAct, ServiceView, StopService};
pub use settings::{
    OriginView, SettingView, SettingsAnswer, SettingsChange, SettingsChanged, StagedSettings,
    Undone,
};
pub use sheet::{ReadSheet, Sheet, SheetAnswer, SheetFault, SheetUse};
pub use summary::{Series, Summary, SummaryQuery, SummaryRow};
pub use top::{Top, TopAttacker, TopEndpoint, TopInterface, Traffic};
pub use verify::{Compared, KindView, Mismatch, Verification};
pub use welcome::Welcome;
pub use who::{Door, Right, Who};
pub use why::{EvidenceView, Moment, MomentKind, PacketView, Verdict, Why, WindowView};

pub use crate::config::{Difference, Schema, Scope};
pub use crate::doctor::Checkup;
pub use crate::store::{BlockKind, List};

/// What can be asked of the daemon.
#[derive(Clone, Debug)]
pub enum Command {
    Version,
    Status,
    /// What was wrong when it was last looked at; costs nothing.
    Health,
    Entries {
        list: List,
        query: ListQuery,
    },
    AddEntry {
        list: List,
        entry: NewEntry,
        consent: Consent,
    },
    EditEntry {
        list: List,
        edit: EditEntry,
        consent: Consent,
    },
    RemoveEntry {
        list: List,
        network: IpNetwork,
        by: String,
        consent: Consent,
    },
    /// Reads a file and says what it would change.
    ReadSheet {
        sheet: Sheet,
        consent: Consent,
    },
    /// Carries it out, if the lists are still as they were.
    ApplySheet {
        read: ReadSheet,
        consent: Consent,
    },
    /// Writes a list into a file.
    ExportList {
        list: List,
        endpoint: Option<String>,
        into: Arc<File>,
    },
    /// What waits for a confirmation stays, or is taken back.
    Confirm {
        cancel: bool,
        /// Of whoever confirms: what only an admin may change, only an admin confirms.
        right: Right,
        by: String,
    },
    Blocks {
        query: ListQuery,
    },
    Block {
        block: NewBlock,
        consent: Consent,
    },
    Unblock {
        address: IpAddr,
        by: String,
    },
    Trust {
        query: ListQuery,
    },
    RevokeTrust {
        address: IpAddr,
        by: String,
    },
    Blocklists {
        query: ListQuery,
    },
    Peers {
        query: ListQuery,
    },
    AddPeer(NewPeer),
    RemovePeer {
        network: IpNetwork,
        by: String,
    },
    Check {
        address: IpAddr,
    },
    Why {
        address: IpAddr,
    },
    Report {
        query: ReportQuery,
    },
    Summary {
        query: SummaryQuery,
    },
    Learn,
    LearnProposal,
    LearnStart(LearnStart),
    LearnAccept(LearnAccept),
    GeoPreview(GeoChange),
    LearnStop {
        by: String,
    },
    LearnDiscard {
        by: String,
    },
    Reload {
        consent: Consent,
    },
    Users,
    AddUser(NewUser),
    EditUser {
        name: String,
        edit: EditUser,
    },
    RemoveUser {
        name: String,
        by: String,
    },
    Tokens,
    AddToken(NewToken),
    RevokeToken {
        name: String,
        by: String,
    },
    /// Lines of a log, from an endpoint that its token names.
    Ingest {
        log: String,
        token: String,
        text: String,
    },
    Metrics,
    /// All of them, or nothing when one isn't there.
    RemoveEntries {
        list: List,
        removal: RemoveEntries,
        consent: Consent,
    },
    MoveEntries {
        list: List,
        entries: MoveEntries,
        consent: Consent,
    },
    /// Looks for entries that one network could take the place of.
    Aggregate {
        list: List,
        wanted: Aggregate,
    },
    /// Lets them, if the lists are still as they were.
    Merge {
        found: FoundMerges,
    },
    DenyBlocks {
        blocks: DenyBlocks,
        consent: Consent,
    },
    /// Lifts what stands against anybody, of one kind or all.
    UnblockAll {
        kind: Option<BlockKind>,
        by: String,
    },
    /// What is known of an address, for whom it belongs to.
    Abuse {
        address: IpAddr,
    },
    /// Holds the kernel against the store.
    Compare,
    /// Looks again at what differed, and puts it right if that is wanted.
    Settle {
        compared: Compared,
        repair: bool,
    },
    /// Says what a change would do, or why it would be refused, and does nothing.
    Rehearse(Box<Command>),
    /// The way to what changes from now on.
    Follow,
    /// What is going on, with counts to make rates of.
    Top {
        /// At most so many attackers.
        limit: usize,
    },
    /// What can be set.
    Schema,
    Settings,
    /// Checks a change, and lays it ready in files beside those that it replaces.
    ChangeSettings {
        change: SettingsChange,
        consent: Consent,
    },
    /// Carries it out, if the settings are still as they were.
    ApplySettings {
        staged: StagedSettings,
        consent: Consent,
    },
    Audit {
        query: AuditQuery,
    },
    /// Takes back what a record of the audit log tells.
    Undo {
        number: u64,
        by: String,
        /// Of who asks: what is taken back takes the right that it took to be done.
        right: Right,
        consent: Consent,
    },
    /// Into the audit log.
    Note(AuditNote),
    /// What may be wrong on this host.
    Doctor,
    Service,
    ActOnService(ServiceAct),
    /// What this is of a fleet, and how that fares.
    Fleet,
    /// The rest of the fleet's is the hub's to answer.
    /// The state of the hub that runs beside this daemon.
    FleetHub,
    FleetHosts,
    FleetSources {
        query: FleetQuery,
    },
    FleetLog {
        query: FleetLogQuery,
    },
    FleetJudge(FleetJudge),
    FleetProtect(FleetProtect),
    NotifyStatus,
    NotifyLog {
        query: NotifyLogQuery,
    },
    NotifyTest(NotifyTest),
}

impl Command {
    /// Whose doing it is recorded as, if the command says it. Written out, so that a new command has to
    /// think of it.
    fn by(&mut self) -> Option<&mut String> {
        match self {
            Command::Rehearse(command) => command.by(),
            Command::AddEntry { entry, .. } => Some(&mut entry.added_by),
            Command::EditEntry { edit, .. } => Some(&mut edit.by),
            Command::ReadSheet { sheet, .. } => Some(&mut sheet.by),
            Command::Block { block, .. } => Some(&mut block.by),
            Command::AddPeer(peer) => Some(&mut peer.added_by),
            Command::LearnStart(start) => Some(&mut start.by),
            Command::LearnAccept(accept) => Some(&mut accept.by),
            Command::AddUser(user) => Some(&mut user.by),
            Command::EditUser { edit, .. } => Some(&mut edit.by),
            Command::AddToken(token) => Some(&mut token.by),
            Command::ChangeSettings { change, .. } => Some(&mut change.by),
            Command::ActOnService(act) => Some(act.by()),
            Command::RemoveEntries { removal, .. } => Some(&mut removal.by),
            Command::MoveEntries { entries, .. } => Some(&mut entries.by),
            Command::Aggregate { wanted, .. } => Some(&mut wanted.by),
            Command::DenyBlocks { blocks, .. } => Some(&mut blocks.by),
            Command::FleetJudge(judge) => Some(&mut judge.by),
            Command::FleetProtect(protect) => Some(&mut protect.by),
            Command::NotifyTest(test) => Some(&mut test.by),
            Command::RemoveEntry { by, .. }
            | Command::Confirm { by, .. }
            | Command::Unblock { by, .. }
            | Command::RevokeTrust { by, .. }
            | Command::RemovePeer { by, .. }
            | Command::RemoveUser { by, .. }
            | Command::RevokeToken { by, .. }
            | Command::UnblockAll { by, .. }
            | Command::LearnStop { by }
            | Command::Undo { by, .. }
            | Command::LearnDiscard { by } => Some(by),
            Command::Version
            | Command::Status
            | Command::Health
            | Command::Entries { .. }
            | Command::ApplySheet { .. }
            | Command::ExportList { .. }
            | Command::Blocks { .. }
            | Command::Trust { .. }
            | Command::Blocklists { .. }
            | Command::Peers { .. }
            | Command::Check { .. }
            | Command::Why { .. }
            | Command::Report { .. }
            | Command::Summary { .. }
            | Command::Learn
            | Command::LearnProposal
            | Command::GeoPreview(_)
            | Command::Reload { .. }
            | Command::Users
            | Command::Tokens
            | Command::Schema
            | Command::Settings
            | Command::ApplySettings { .. }
            | Command::Audit { .. }
            | Command::Note(_)
            | Command::Ingest { .. }
            | Command::Merge { .. }
            | Command::Abuse { .. }
            | Command::Compare
            | Command::Settle { .. }
            | Command::Metrics
            | Command::NotifyStatus
            | Command::NotifyLog { .. }
            | Command::Follow
            | Command::Doctor
            | Command::Service
            | Command::Fleet
            | Command::FleetHub
            | Command::FleetHosts
            | Command::FleetSources { .. }
            | Command::FleetLog { .. }
            | Command::Top { .. } => None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Version(Version),
    Status(Box<Status>),
    #[serde(skip)]
    Health(Vec<String>),
    Entries(Entries),
    Blocks(BlocksAnswer),
    Trust(TrustAnswer),
    Blocklists(BlocklistsAnswer),
    Peers(PeersAnswer),
    Check(Box<Check>),
    Why(Box<Why>),
    Report(Report),
    Summary(Box<Summary>),
    Learn(LearnStatus),
    LearnProposal(Box<LearnProposal>),
    Accepted(Accepted),
    GeoPreview(Box<GeoPreview>),
    Done(Done),
    #[serde(skip)]
    Read(ReadSheet),
    Sheet(SheetAnswer),
    Ingested(Ingested),
    Schema(Box<Schema>),
    Settings(Box<SettingsAnswer>),
    #[serde(skip)]
    Staged(StagedSettings),
    SettingsChanged(SettingsChanged),
    Audit(AuditAnswer),
    Users(UsersAnswer),
    Tokens(TokensAnswer),
    MadeToken(MadeToken),
    #[serde(skip)]
    MergesFound(FoundMerges),
    Abuse(Box<AbuseReport>),
    #[serde(skip)]
    Compared(Compared),
    Verified(Verification),
    /// Prometheus' text format.
    Metrics(String),
    #[serde(skip)]
    Follow(Live),
    Top(Box<Top>),
    Checkup(Checkup),
    Service(ServiceView),
    Fleet(Box<FleetAnswer>),
    FleetHosts(FleetHosts),
    FleetSources(FleetSources),
    FleetLog(FleetLog),
    NotifyStatus(NotifyStatus),
    NotifyLog(NotifyLog),
    NotifyTested(NotifyTested),
}

/// A command on its way to the daemon, with the place for its answer.
pub struct Call {
    pub who: Who,
    pub command: Command,
    pub reply: oneshot::Sender<Result<Answer, Fault>>,
}

/// The way to the daemon.
#[derive(Clone)]
pub struct Caller {
    calls: mpsc::Sender<Call>,
}

/// Calls that may wait; more are refused.
const WAITING_MAX: usize = 64;

impl Caller {
    /// The caller, and the end at which the daemon takes the calls.
    pub fn new() -> (Self, mpsc::Receiver<Call>) {
        let (calls, receiver) = mpsc::channel(WAITING_MAX);
        (Self { calls }, receiver)
    }

    pub async fn call(&self, who: &Who, mut command: Command) -> Result<Answer, Fault> {
        let who = who.clone().sign(&mut command);
        let (reply, answer) = oneshot::channel();
        self.calls.try_send(Call { who, command, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Fault::unavailable("the daemon is busy"),
            mpsc::error::TrySendError::Closed(_) => Fault::unavailable("the daemon is stopping"),
        })?;
        answer.await.unwrap_or_else(|_| Err(Fault::unavailable("the daemon is stopping")))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntry {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    #[serde(default)]
    pub note: String,
    #[serde(default = "nobody")]
    pub added_by: String,
    #[serde(default)]
    pub expires_in_s: Option<u64>,
    #[serde(default)]
    pub scope: Scope,
    /// The endpoint whose list it is; the host's otherwise.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// A peer to be trusted without having shown anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPeer {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    /// A ceiling of its own, in packets a second.
    #[serde(default)]
    pub rate: Option<u32>,
    #[serde(default)]
    pub note: String,
    #[serde(default = "nobody")]
    pub added_by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlock {
    pub address: IpAddr,
    /// The configured block time otherwise.
    #[serde(default)]
    pub duration_s: Option<u64>,
    #[serde(default)]
    pub reason: String,
    #[serde(default = "nobody")]
    pub by: String,
    #[serde(default)]
    pub scope: Scope,
}

/// Who asked, when the caller doesn't say.
pub fn nobody() -> String {
    "api".to_owned()
}

/// Bytes of notes, reasons and names that are taken.
pub const TEXT_MAX: usize = 1024;
/// Blocks by hand are at most this long; what shall last longer belongs on the denylist.
pub const BLOCK_SECONDS_MAX: u64 = 366 * 24 * 3600;
