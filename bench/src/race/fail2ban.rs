//! fail2ban beside the first PBX: it reads Kamailio's log, and bans by an nftables set.

use anyhow::Result;
use sipprot_tests::fail2ban::Fail2ban;
use sipprot_tests::lab::Lab;

/// The same limit as ours: ten failures in a minute.
const FILTER: &str = "[Definition]\n\
     failregex = bad credentials from <HOST>\\s*$\n\
     datepattern = %%Y-%%m-%%d %%H:%%M:%%S\n";
const ACTION: &str = "[Definition]\n\
     actionstart = nft add table inet f2b\n\
    \x20             nft add set inet f2b banned '{ type ipv4_addr; }'\n\
    \x20             nft add chain inet f2b all_in '{ type filter hook prerouting priority -300; }'\n\
    \x20             nft add rule inet f2b all_in ip saddr @banned drop\n\
     actionban = nft add element inet f2b banned '{ <ip> }'\n\
     actionunban = nft delete element inet f2b banned '{ <ip> }'\n";

pub fn start(lab: &Lab) -> Result<Fail2ban> {
    let jail = format!(
        "[kamailio]\nenabled = true\nfilter = kamailio\naction = nft\nlogpath = {}\n\
         backend = auto\nmaxretry = 10\nfindtime = 60\nbantime = 600\nusedns = no\n",
        lab.pbxs[0].log_file().display()
    );
    let files = [
        ("jail.conf", jail.as_str()),
        ("filter.d/kamailio.conf", FILTER),
        ("action.d/nft.conf", ACTION),
    ];
    Fail2ban::start(&lab.net.pbxs[0], &lab.directory().join("fail2ban"), "kamailio", &files)
}
