//! Why a packet left the datapath as it did.
//!
//! The numbers are append-only: metrics, events, the CLI and the docs all come from this one table.
//! A number once given is never used for anything else.

macro_rules! reasons {
    ($($number:literal $name:ident $label:literal $class:ident $help:literal;)*) => {
        /// The one reason by which a packet is counted.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason { $($name = $number,)* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The name in metrics, events, CLI and docs.
            pub const fn label(self) -> &'static str {
                match self { $(Reason::$name => $label,)* }
            }

            /// One line for people.
            pub const fn help(self) -> &'static str {
                match self { $(Reason::$name => $help,)* }
            }

            pub const fn class(self) -> Class {
                match self { $(Reason::$name => Class::$class,)* }
            }

            pub const fn from_number(number: u8) -> Option<Reason> {
                match number { $($number => Some(Reason::$name),)* _ => None }
            }
        }
    };
}

/// What a reason does to its packet when the policy enforces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Passed because nothing stands against it.
    Pass,
    /// Passed because the datapath could not judge it: our own limits, never a drop.
    Fault,
    /// Dropped by decision.
    Drop,
}

/// Room for reasons in the counter array; it is part of the ABI.
pub const REASONS_MAX: usize = 64;

reasons! {
    0 Other "other" Pass "not SIP and nothing against its source";
    1 NotIp "not_ip" Pass "neither IPv4 nor IPv6";
    2 Allowed "allowed" Pass "source on the allowlist";
    3 Control "control" Pass "neighbour discovery, router advertisement, or an ICMP error about a live flow";
    4 LaterFragment "later_fragment" Pass "a fragment without ports; its first fragment was judged";
    5 SipRequest "sip_request" Pass "SIP request";
    6 SipResponse "sip_response" Pass "SIP response";
    7 SipKeepalive "sip_keepalive" Pass "CRLF or NUL keep-alive, STUN, or an empty segment on a SIP port";
    8 SipOpaque "sip_opaque" Pass "TLS or WebSocket port: in the SIP scope, not parsed";
    9 NotSip "not_sip" Pass "something else than SIP on a SIP port";
    10 Off "off" Pass "the endpoint's policy is off";
    11 Trickle "trickle" Pass "SIP from a contained source that may prove itself";
    12 SipSegment "sip_segment" Pass "a TCP segment that goes on with a message";
    16 Truncated "truncated" Fault "the packet ends inside a header";
    17 BadHeader "bad_header" Fault "a header with an impossible length";
    18 TooManyHeaders "too_many_headers" Fault "more VLAN tags or extension headers than we follow";
    19 LookupFailed "lookup_failed" Fault "a map that should be there is not";
    32 Denied "denied" Drop "source on the denylist";
    33 Blocked "blocked" Drop "source dynamically blocked";
    34 Quarantined "quarantined" Drop "this port of a trusted source is quarantined";
    35 Contained "contained" Drop "SIP from a contained source";
    36 Geo "geo" Drop "source's country is not let in";
    37 UserAgent "user_agent" Drop "listed user agent";
    38 SourceCeiling "source_ceiling" Drop "more SIP packets a second than one source may send";
    39 EndpointCeiling "endpoint_ceiling" Drop "more SIP packets a second than all untrusted sources of an endpoint may send";
    40 Held "held" Drop "attempt window full: all SIP of the source is held";
    41 TcpBudget "tcp_budget" Drop "too much SIP over TCP without an acceptance: the source is held";
    42 DnsOversize "dns_oversize" Drop "a DNS answer longer than old resolvers survive (CVE-2015-7547)";
    43 SshCeiling "ssh_ceiling" Drop "more new ssh connections than one source may open";
    44 HttpCeiling "http_ceiling" Drop "more new http connections than one source may open";
    45 TftpCeiling "tftp_ceiling" Drop "more TFTP requests than one source may send";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_fit() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason as u8), Some(reason));
            assert!((reason as usize) < REASONS_MAX);
        }
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
