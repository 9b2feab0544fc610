//! The words of messages, in English and French. Whoever writes templates names them `t.…`.

use std::collections::BTreeMap;

use crate::config::Language;

/// Name, English, French.
const WORDS: &[(&str, &str, &str)] = &[
    ("lang", "en", "fr"),
    ("account", "Account", "Compte"),
    ("agent", "User-Agent", "User-Agent"),
    ("alarms", "Alerts", "Alertes"),
    ("alarms_count", "Alerts", "Alertes"),
    ("and_more", "and more:", "et encore :"),
    ("attackers", "Attackers", "Attaquants"),
    ("attacks", "Attacks", "Attaques"),
    ("attacks_a_minute", "attacks a minute; usual:", "attaques par minute ; d'habitude :"),
    (
        "packets_a_minute",
        "dropped packets a minute; usual:",
        "paquets rejetés par minute ; d'habitude :",
    ),
    ("blocks", "Blocks", "Blocages"),
    ("changes", "Changes", "Changements"),
    ("containments", "Containments", "Confinements"),
    ("countries", "Countries", "Pays"),
    ("country", "Country", "Pays"),
    ("day", "Day (UTC)", "Jour (UTC)"),
    ("drops", "Dropped packets", "Paquets rejetés"),
    (
        "dropped",
        "Messages that could not be kept or delivered:",
        "Messages qui n'ont pu être gardés ou remis :",
    ),
    ("endpoint", "Endpoint", "Point de terminaison"),
    ("endpoints", "Endpoints", "Points de terminaison"),
    ("health", "Health", "Santé"),
    ("health_unknown", "nothing is known to be wrong", "rien d'anormal n'est connu"),
    ("host", "Host", "Hôte"),
    ("how_why", "Why, and how to undo it:", "Pourquoi, et comment l'annuler :"),
    ("none", "none", "aucun"),
    ("observed", "Observed packets", "Paquets observés"),
    ("protected", "protected", "protégé"),
    ("not_protected", "NOT protected", "PAS protégé"),
    ("rule", "Rule", "Règle"),
    ("since", "Since", "Depuis"),
    ("source", "Source", "Source"),
    ("surge", "Surge of attacks", "Vague d'attaques"),
    ("summary", "Summary of", "Résumé du"),
    ("target", "Of what", "De quoi"),
    ("test", "Test message", "Message d'essai"),
    (
        "test_text",
        "This is a test: messages of SIPprot reach you this way.",
        "Ceci est un essai : les messages de SIPprot vous parviennent par ce chemin.",
    ),
    ("time", "Time", "Heure"),
    ("times", "Times", "Fois"),
    ("top_attackers", "Top attackers", "Principaux attaquants"),
    ("what", "What", "Quoi"),
    ("who", "Who", "Qui"),
    // What befell an attacker.
    ("block", "blocked", "bloqué"),
    ("contained", "contained", "confiné"),
    ("quarantined", "quarantined", "en quarantaine"),
    ("denied", "denied for good", "refusé définitivement"),
    // Alerts, as metrics name them.
    ("possible-break-in", "Possible break-in", "Intrusion possible"),
    ("known-peer-blocked", "A trusted peer is blocked", "Un pair de confiance est bloqué"),
    ("stale-password", "Stale password", "Mot de passe périmé"),
    ("account-under-attack", "Account under attack", "Compte attaqué"),
    ("world-behind-nat", "All sources behind one NAT", "Toutes les sources derrière un NAT"),
    ("spared", "Spared", "Épargné"),
    ("trust-full", "Trust is full", "La confiance est pleine"),
    ("watched", "Watched", "Observé"),
    ("service-cut", "A service is cut off", "Un service est coupé"),
    ("health-lost", "Protection lost", "Protection perdue"),
    ("health-trouble", "Health", "Santé"),
];

pub fn words(language: Language) -> BTreeMap<&'static str, &'static str> {
    let word = |(name, english, french): &(&'static str, &'static str, &'static str)| {
        let text = match language {
            Language::English => *english,
            Language::French => *french,
        };
        (*name, text)
    };
    WORDS.iter().map(word).collect()
}
