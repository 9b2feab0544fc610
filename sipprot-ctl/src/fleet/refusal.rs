//! Why something that came over the channel is not taken: the words of counters, tables and logs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Choice, choices};

choices! {
    /// What is wrong with a message, or with something in it.
    #[derive(Default)]
    Refusal {
        /// Cut short, or not ours.
        #[default]
        Malformed = "malformed",
        TooLarge = "too-large",
        /// Of a version that isn't known here.
        Version = "version",
        /// The signature is not of who it says.
        Forged = "forged",
        /// Of a host that is none of ours, or no more.
        Revoked = "revoked",
        /// In another host's name.
        OtherHost = "other-host",
        /// Seen already, or older than what was seen.
        Replayed = "replayed",
        Future = "future",
        /// Longer ago than anything counts.
        Old = "old",
        /// More than a host may report.
        TooMany = "too-many",
        /// A network where only an address may stand, or one that is too wide.
        TooWide = "too-wide",
        /// Private, loopback, link-local and the like.
        Private = "private",
        /// By the webmaster's word.
        Protected = "protected",
        /// An address of the hub, of a host, of an operator or a trunk.
        OwnAddress = "own-address",
        NoExpiry = "no-expiry",
        /// A list that lost most of its entries without a recall.
        Shrinking = "shrinking",
        /// Of a hub's earlier life.
        OtherGeneration = "other-generation",
    }
}
