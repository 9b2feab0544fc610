//! What the settings mean, in French. Their English is in the table of keys; a test sees to it that
//! neither lacks what the other has.

/// Of a setting, named as in the schema.
pub(super) fn help(key: &str) -> &'static str {
    find(HELP, key)
}

pub(super) fn section(name: &str) -> &'static str {
    find(SECTION, name)
}

fn find(table: &'static [(&str, &str)], wanted: &str) -> &'static str {
    table.iter().find(|(key, _)| *key == wanted).map(|(_, text)| *text).unwrap_or_default()
}

const SECTION: &[(&str, &str)] = &[
    ("", "L'hôte."),
    ("daemon", "Où le démon garde ses affaires."),
    ("api", "L'API et ses connexions, par TCP ; sur le socket elle est toujours."),
    ("sip", "Ce qui est du SIP."),
    ("rules", "Ce qui compte comme une attaque, et ce qui s'ensuit."),
    ("ceilings", "Ce que le noyau rejette de lui-même, en paquets par seconde vers les ports SIP."),
    ("geo", "Les pays."),
    (
        "ssh",
        "Nouvelles connexions ssh d'une source. Ce qui dépasse est rejeté ; personne n'est bloqué pour cela, car \
         l'expéditeur d'un SYN peut être falsifié.",
    ),
    ("http", "Nouvelles connexions http d'une source, de même."),
    (
        "tftp",
        "Requêtes TFTP d'une source. Un bureau de confiance peut en envoyer autant pour chacun de ses \
         téléphones, par http aussi.",
    ),
    (
        "dns",
        "Réponses de serveurs de noms plus longues que ce que d'anciens résolveurs supportent (getaddrinfo, \
         CVE-2015-7547).",
    ),
    ("observe", "Protections à observer avant qu'elles ne mordent."),
    ("audit", "Le journal de tout ce qui est changé."),
    ("branding", "Le nom et l'apparence du tableau de bord."),
    (
        "fleet",
        "Des hôtes qui se signalent les attaquants, par un serveur maître. Sans identifiants il n'y en a pas.",
    ),
    (
        "report",
        "Ce dont sont faits les rapports : les attaques de chaque jour, les blocages passés, les alertes.",
    ),
    (
        "notify",
        "Qui est prévenu des attaques, par courriel et par un webhook. `sipprot notify test` l'essaie.",
    ),
    ("mail", "Comment part le courriel, et vers qui."),
    (
        "webhook",
        "Un serveur HTTP prévenu aussi. Avec un secret chaque requête est signée : X-Sipprot-Signature est \
         sha256= et le HMAC-SHA256, en hexadécimal, de X-Sipprot-Timestamp, d'un point et du corps.",
    ),
    (
        "endpoint",
        "Un PBX protégé, avec ce qui diffère des réglages de l'hôte. Autant qu'il y a de PBX ; les adresses \
         qu'aucun point de terminaison ne réclame suivent les réglages de l'hôte.",
    ),
    (
        "log",
        "Un journal qui raconte des échecs que le réseau ne montre pas : de ssh, de http, de SIP sur TLS ou \
         WebSocket. Ce que dit le journal d'un point de terminaison n'agit que pour lui, sauf si le réseau ou \
         le journal d'un autre dit la même chose.",
    ),
    (
        "blocklist",
        "Une liste de refus que d'autres tiennent : adresses ou réseaux, un par ligne, avec # ou ; devant une \
         remarque. Chacune a un fichier ou une URL. Ce qui est privé, à cet hôte ou à un pair, ou sur la liste \
         d'autorisation n'y est jamais pris.",
    ),
];

const HELP: &[(&str, &str)] = &[
    (
        "interfaces",
        "Les interfaces qui mènent au monde. `sipprot run --iface` passe avant ; l'un des deux doit les nommer.",
    ),
    (
        "abuse_contact",
        "Qui signale, dans ce que `sipprot report abuse` écrit à un service d'abus : un nom et comment répondre.",
    ),
    (
        "mode",
        "enforce rejette, observe compte ce qui serait rejeté et le laisse passer, off ne regarde pas.",
    ),
    (
        "peers",
        "Trunks et bureaux à qui l'on fait confiance sans preuve. La confiance s'apprend aussi ; ceci est pour \
         ceux qui ne peuvent pas la montrer. Un débit, en paquets par seconde de chacune de ses adresses, \
         remplace ceilings.trusted_rate.",
    ),
    ("never_block", "Aucune règle ne les bloque jamais. La liste de refus le peut toujours."),
    (
        "confirm_within",
        "Un changement qui pourrait exclure celui qui le fait, fait avec --confirm, est repris après ce temps, \
         sauf si `sipprot confirm` suit.",
    ),
    (
        "follow_ssh",
        "Si le journal ssh de l'hôte lui-même est suivi, journald ou /var/log/auth.log, quand aucun [[log]] de \
         l'hôte n'a le filtre sshd.",
    ),
    ("daemon.state_dir", "Listes, blocages, confiance et historique."),
    ("daemon.socket", "Où la ligne de commande joint le démon."),
    (
        "daemon.pin_dir",
        "Où programmes et tables sont épinglés, dans un système de fichiers bpf, pour que la protection \
         continue sans le démon.",
    ),
    ("daemon.metrics", "Où Prometheus lit /metrics ; \"\" pour nulle part."),
    ("daemon.log", "La moindre gravité qui est journalisée."),
    ("api.listen", "Où elle est servie, /api/v1/ ; \"\" pour nulle part."),
    ("api.tls", "auto parle TLS sur toute adresse sauf la boucle locale ; off y est refusé."),
    (
        "api.tls_certificate",
        "Une chaîne en PEM. Sans elle le démon signe la sienne et la garde dans daemon.state_dir. `sipprot reload` \
         en lit une nouvelle.",
    ),
    ("api.tls_key", "Sa clé en PEM."),
    ("api.session_idle", "Combien de temps une connexion tient sans requête."),
    ("api.session_max", "Combien de temps une connexion tient quoi qu'on fasse."),
    (
        "sip.ports",
        "Ports sur lesquels on parle SIP en clair : \"5060\", 5060, ou une plage \"5060:5062\".",
    ),
    (
        "sip.tls_ports",
        "Ports de SIP sur TLS ou WebSocket. Un blocage de SIP les couvre, mais on ne peut pas les lire.",
    ),
    ("sip.protocols", "Les protocoles à surveiller sur ces ports : udp, tcp ou les deux."),
    (
        "sip.blocked_user_agents",
        "Les requêtes SIP dont le User-Agent correspond à l'un de ceux-ci, sans égard à la casse, sont rejetées : \
         \"texte\" en est le début, \"=texte\" la totalité, \"*texte*\" n'importe où dans ses 64 premiers \
         octets. Aucun vrai téléphone n'en a de tel. Gardez la liste courte.",
    ),
    (
        "rules.register_limit",
        "Enregistrements refusés par minute d'une source ; plus est une attaque, et l'adresse est bloquée.",
    ),
    (
        "rules.account_limit_hour",
        "De même pour un compte d'une source, par heure : pour les patients.",
    ),
    ("rules.account_limit_day", "Et par jour."),
    (
        "rules.accounts_limit",
        "Comptes distincts qui échouent d'une source pendant accounts_window, dont elle n'a jamais enregistré \
         aucun.",
    ),
    ("rules.accounts_window", "Voir accounts_limit."),
    (
        "rules.ssh_limit",
        "Connexions ssh refusées en dix minutes d'une source, d'après les journaux.",
    ),
    (
        "rules.http_scan_limit",
        "Requêtes en dix minutes d'une source vers des dossiers que seuls les scanners demandent (phpMyAdmin, \
         facturation et semblables) et qui n'existent pas ou sont interdits, d'après les journaux.",
    ),
    (
        "rules.http_missed_limit",
        "Requêtes par minute d'une source vers toute autre chose qui n'existe pas ou est interdite ; ce que les \
         téléphones vont chercher ne compte pas.",
    ),
    (
        "rules.invite_limit",
        "Appels en échec par minute d'une source sans confiance vers un point de terminaison.",
    ),
    (
        "rules.probe_limit",
        "OPTIONS et autres sondes par minute d'une source sans confiance vers un point de terminaison.",
    ),
    (
        "rules.not_sip_limit",
        "Paquets par minute d'une source sans confiance vers des ports SIP, et qui n'en sont pas.",
    ),
    (
        "rules.block_time",
        "Combien de temps dure un blocage dynamique. Une nouvelle attaque fait repartir le temps.",
    ),
    (
        "rules.block_threshold",
        "Le blocage dynamique qui devient définitif : la source passe sur la liste de refus.",
    ),
    ("rules.scope", "Ce qu'un blocage dynamique coupe : tout le trafic, ou les ports SIP."),
    (
        "rules.containment",
        "Combien de temps une source sans preuve est tenue à l'écart de SIP, sauf un filet ; double à chaque \
         fois.",
    ),
    ("rules.containment_max", "La plus longue mise à l'écart."),
    (
        "rules.escalate_unproven",
        "Si trois mises à l'écart en trois heures distinctes mettent une source sur la liste de refus, pour SIP \
         et pour 30 jours. Les sources UDP se falsifient : ceci laisse d'autres choisir qui vous refusez.",
    ),
    (
        "rules.unblock_grace",
        "Combien de temps une source débloquée à la main n'est pas bloquée de nouveau.",
    ),
    (
        "rules.trust_for",
        "Combien de temps une adresse garde la confiance après son dernier enregistrement ou appel accepté.",
    ),
    (
        "rules.count_age",
        "Combien de temps un blocage dynamique compte pour block_threshold, et une mise à l'écart pour \
         escalate_unproven.",
    ),
    ("ceilings.source_rate", "Une source sans confiance."),
    ("ceilings.source_burst", "Ce qu'une source sans confiance peut envoyer d'un coup."),
    (
        "ceilings.endpoint_rate",
        "Toutes les sources sans confiance d'un point de terminaison ensemble.",
    ),
    (
        "ceilings.trusted_rate",
        "Une source de confiance. Une que l'on sait plus active peut envoyer 20 fois son maximum, jusqu'à dix \
         fois ceci.",
    ),
    (
        "geo.mode",
        "off, deny (refuser : les pays listés sont rejetés) ou allow (autoriser : tous les autres le sont).",
    ),
    ("geo.countries", "Par exemple [\"FR\", \"Germany\", \"South America\"]."),
    (
        "geo.scope",
        "Ce qui est rejeté : tout le trafic, ou les ports SIP. Les réponses à ce que l'hôte ou un point de \
         terminaison a ouvert passent. Ce qui est nouvellement exclu passe encore cinq minutes, pendant \
         lesquelles ces flux sont appris.",
    ),
    (
        "geo.databases",
        "Bases au format MaxMind, ou plages en texte comme dans tor-geoipdb de Debian. Vide : on cherche aux \
         endroits habituels.",
    ),
    (
        "geo.update_url",
        "D'où le démon va chercher une base plus récente, comme `sipprot geo update URL` : elle remplace le premier \
         .mmdb de geo.databases, sinon /var/lib/GeoIP/sipprot-country.mmdb. Par défaut rien n'est cherché.",
    ),
    ("geo.update_every", "Tous les combien, d'après l'âge du fichier."),
    ("ssh.mode", "De ce gardien seul ; il ne fait jamais plus que le mode de l'hôte."),
    ("ssh.ports", "Ports TCP de ssh. Vide : 22, et là où un sshd de cet hôte écoute."),
    ("ssh.rate", "Nouvelles connexions par minute."),
    ("ssh.burst", "Nouvelles connexions d'un coup."),
    ("http.mode", "De ce gardien seul."),
    ("http.ports", "Ports TCP des serveurs web."),
    ("http.rate", "Nouvelles connexions par minute."),
    ("http.burst", "Nouvelles connexions d'un coup."),
    ("tftp.mode", "De ce gardien seul."),
    (
        "tftp.ports",
        "Ports UDP où l'on demande des fichiers par TFTP. Chaque paquet vers eux compte, quoi qu'il dise.",
    ),
    ("tftp.rate", "Requêtes par minute."),
    ("tftp.burst", "Requêtes d'un coup."),
    (
        "dns.mode",
        "De ce gardien seul. Actif par défaut : à ne pas changer sans savoir ce qu'il fait.",
    ),
    (
        "dns.strict",
        "Rejeter les réponses de plus de 512 octets (UDP) et 1 024 (TCP), comme le conseillent les mainteneurs \
         de glibc, au lieu de 2 048. DNSSEC et les longs enregistrements en demandent plus.",
    ),
    ("dns.resolvers", "Serveurs de noms qui peuvent répondre à toute longueur."),
    (
        "observe.protections",
        "Celles-ci ne font que compter ce qu'elles rejetteraient, quel que soit le mode : deny, block, \
         containment, geo, user_agent, ceiling, attempts, dns, ssh, http, tftp.",
    ),
    ("audit.records_max", "Enregistrements gardés ; au-delà, le plus ancien s'en va."),
    ("audit.keep_for", "Combien de temps un enregistrement est gardé."),
    ("branding.name", "Ce qui est en haut de chaque page."),
    (
        "branding.logo",
        "Une image sur cet hôte, montrée près du nom : SVG, PNG, JPEG ou WebP, jusqu'à 64 Kio. Quiconque atteint \
         le tableau de bord la voit.",
    ),
    (
        "branding.colour",
        "Des boutons et des liens. Les pages la foncent ou l'éclaircissent là où elle ne se lirait pas.",
    ),
    ("branding.ground", "Derrière le nom et le logo."),
    ("notify.enabled", "Si quelqu'un est prévenu."),
    ("notify.language", "La langue des messages."),
    (
        "notify.attacks",
        "Prévenir de chaque attaque, groupées : la première aussitôt, celles qui suivent dans attack_every en un \
         message. Les intrusions possibles, les vagues et la perte de la protection n'attendent pas.",
    ),
    (
        "notify.attack_every",
        "Le temps minimal entre deux messages d'attaques, ou de la même alarme.",
    ),
    (
        "notify.summary",
        "Raconter chaque jour la veille : attaquants, pays, points de terminaison, changements, santé.",
    ),
    (
        "notify.summary_at",
        "Quand, à l'heure de l'hôte. Ce qui a été manqué pendant que le démon était arrêté est dit à son retour.",
    ),
    (
        "notify.severity",
        "Ce qui est dit au moins. critical : intrusions possibles, vagues, un service ou un pair coupé, la \
         protection perdue. warning : aussi les blocages et les autres alertes. info : aussi les confinements et \
         les quarantaines.",
    ),
    (
        "notify.quiet_hours",
        "Les heures où seul ce qui est critique est dit, à l'heure de l'hôte. Le reste attend leur fin.",
    ),
    (
        "notify.surge_factor",
        "Combien de fois le nombre habituel, d'attaques ou de paquets rejetés par minute, fait une vague.",
    ),
    ("notify.surge_least", "Moins d'attaques par minute n'en font pas une."),
    ("notify.surge_drops", "Moins de paquets rejetés par minute n'en font pas une non plus."),
    (
        "notify.retry_after",
        "Quand ce qui n'a pu être remis est essayé de nouveau ; l'attente double à chaque fois.",
    ),
    ("notify.retry_longest", "La plus longue de ces attentes."),
    ("notify.give_up_after", "Quand on y renonce."),
    (
        "notify.templates",
        "Un répertoire de modèles à soi. `sipprot notify templates` y écrit ceux qui servent.",
    ),
    ("mail.way", "smtp parle à un serveur, sendmail lance un programme de cet hôte."),
    ("mail.recipients", "Chacun reçoit son propre courriel."),
    ("mail.from", "L'expéditeur."),
    ("mail.server", "Le serveur SMTP."),
    ("mail.port", "587 d'habitude pour starttls, 465 pour tls, 25 pour none."),
    (
        "mail.security",
        "Avec starttls ou tls rien n'est envoyé à un serveur qui ne prouve pas son nom. none envoie tout, même \
         un mot de passe, en clair.",
    ),
    ("mail.user", "Sous quel nom se connecter ; vide pour aucun."),
    ("mail.password", "Jamais montré."),
    (
        "mail.password_file",
        "Un fichier dont la première ligne est le mot de passe, à la place de mail.password.",
    ),
    (
        "mail.authority",
        "Le fichier PEM d'une autorité qui signe le certificat du serveur, en plus de celles qui sont connues.",
    ),
    ("mail.sendmail", "Le programme de mail.way = \"sendmail\"."),
    (
        "webhook.url",
        "Où il est ; vide pour aucun. Elle peut être un secret en soi : jamais montrée.",
    ),
    (
        "webhook.format",
        "Ce qui y est envoyé : json est tout ce qui est connu ; les autres sont des messages pour ces services.",
    ),
    ("webhook.secret", "Signe chaque requête ; vide pour aucun. Jamais montré."),
    ("webhook.chat", "Le chat_id de Telegram ; l'URL finit par /botTOKEN/sendMessage."),
    (
        "fleet.credentials",
        "Le fichier que `sipprot fleet add-host` a écrit pour cet hôte sur le serveur maître. Il contient une clé \
         secrète.",
    ),
    (
        "fleet.mode",
        "enforce rejette qui est sur la liste de la flotte, sauf ceux que cet hôte autorise, à qui il fait confiance ou \
         qu'il épargne ; observe le dit seulement dans `check` ; off quitte la flotte.",
    ),
    (
        "fleet.names",
        "Si les rapports au serveur maître nomment le point de terminaison et le compte attaqués.",
    ),
    (
        "fleet.hub",
        "Le dossier d'un serveur maître qui tourne sur cet hôte, comme `sipprot hub --dir` : le tableau de bord montre \
         ses hôtes et décide de ce qu'ils rapportent.",
    ),
    (
        "report.rows_max",
        "Lignes d'attaques gardées, et autant de blocages passés ; au-delà, les plus anciennes s'en vont.",
    ),
    (
        "report.keep_for",
        "Combien de temps elles et les alertes sont gardées. Les jours plus anciens n'ont pas de rapport.",
    ),
    (
        "endpoint[NAME].name",
        "Comment l'état, les rapports et les métriques l'appellent. Requis, et unique.",
    ),
    (
        "endpoint[NAME].addresses",
        "Ses adresses et réseaux. Requis. Une qu'un autre point de terminaison a déjà est partagée avec lui : \
         les sip_ports disent alors à qui est un paquet, et tous ses autres ports sont au premier.",
    ),
    ("endpoint[NAME].sip_ports", "Ses ports SIP, à la place de sip.ports."),
    ("endpoint[NAME].mode", "Son mode, à la place de celui de l'hôte."),
    ("endpoint[NAME].geo.mode", "Son mode géographique, à la place de celui de l'hôte."),
    ("endpoint[NAME].geo.countries", "Ses pays, à la place de ceux de l'hôte."),
    ("endpoint[NAME].geo.scope", "Sa portée géographique, à la place de celle de l'hôte."),
    (
        "endpoint[NAME].allow",
        "Admis à ce point de terminaison et à aucun autre, outre sa liste d'autorisation.",
    ),
    (
        "endpoint[NAME].deny",
        "Exclus de ce point de terminaison et d'aucun autre, outre sa liste de refus.",
    ),
    ("endpoint[NAME].ceilings.source_rate", "Ses plafonds, à la place de ceux de l'hôte."),
    ("endpoint[NAME].ceilings.source_burst", "De même."),
    ("endpoint[NAME].ceilings.endpoint_rate", "De même."),
    ("endpoint[NAME].ceilings.trusted_rate", "De même."),
    (
        "endpoint[NAME].register_limit",
        "Son rules.register_limit. Ce qu'une règle qui a ici sa propre limite compte est compté à part des autres \
         points de terminaison.",
    ),
    ("endpoint[NAME].invite_limit", "Son rules.invite_limit."),
    ("endpoint[NAME].probe_limit", "Son rules.probe_limit."),
    ("endpoint[NAME].not_sip_limit", "Son rules.not_sip_limit."),
    ("endpoint[NAME].ssh_limit", "Son rules.ssh_limit."),
    ("endpoint[NAME].http_scan_limit", "Son rules.http_scan_limit."),
    ("endpoint[NAME].http_missed_limit", "Son rules.http_missed_limit."),
    ("endpoint[NAME].block_time", "Son rules.block_time."),
    (
        "endpoint[NAME].ssh.rate",
        "Son ssh.rate. Avec un débit ou une pointe à lui, ce qu'une source demande ici à tout service gardé est \
         compté à part des autres points de terminaison.",
    ),
    ("endpoint[NAME].ssh.burst", "Son ssh.burst."),
    ("endpoint[NAME].http.rate", "Son http.rate."),
    ("endpoint[NAME].http.burst", "Son http.burst."),
    ("endpoint[NAME].tftp.rate", "Son tftp.rate."),
    ("endpoint[NAME].tftp.burst", "Son tftp.burst."),
    ("endpoint[NAME].ssh.mode", "Son ssh.mode."),
    ("endpoint[NAME].http.mode", "Son http.mode."),
    ("endpoint[NAME].tftp.mode", "Son tftp.mode."),
    ("endpoint[NAME].dns.mode", "Son dns.mode."),
    (
        "endpoint[NAME].block_scope",
        "Si une source qui l'attaque est bloquée pour tout l'hôte ou pour lui seul.",
    ),
    (
        "endpoint[NAME].log_token",
        "L'empreinte du jeton par lequel ses propres journaux sont reconnus, par syslog ou par l'API.",
    ),
    (
        "log[NAME].name",
        "Comment l'état, les preuves et les métriques l'appellent. Requis, et unique.",
    ),
    (
        "log[NAME].kind",
        "Où il est lu : un fichier que l'on suit, le journal de systemd, des messages syslog que l'on reçoit, ou \
         ce qui est envoyé à l'API sous /api/v1/logs/NOM.",
    ),
    ("log[NAME].filters", "Ce que ses lignes veulent dire. Requis."),
    ("log[NAME].path", "Le fichier. Il peut tourner, être raccourci ou manquer."),
    (
        "log[NAME].units",
        "Les unités dont le journal est lu. Sans aucune, de tout le journal ce que les processus de root ont \
         écrit.",
    ),
    ("log[NAME].listen", "Où les messages syslog sont reçus, avec un port."),
    (
        "log[NAME].transport",
        "Comment ils viennent. Qui envoie par tcp ou tls est connu par son adresse, celle d'un point de \
         terminaison ; par udp une adresse se falsifie, donc chaque message demande le jeton du point de \
         terminaison : [sipprot@32473 token=\"…\"].",
    ),
    ("log[NAME].certificate", "De l'écoute TLS : une chaîne en PEM."),
    ("log[NAME].key", "Sa clé privée en PEM."),
    (
        "log[NAME].senders",
        "Adresses de points de terminaison dont on accepte l'udp sans jeton, sur la parole de l'opérateur que \
         personne ne peut les falsifier.",
    ),
    ("log[NAME].endpoint", "À qui est ce fichier ou journal, si ce n'est à l'hôte lui-même."),
    (
        "log[NAME].mode",
        "enforce : ce qu'il dit compte. observe : cela compte à part, et seules les alertes disent ce qui \
         s'ensuivrait. off : il n'est pas lu.",
    ),
    ("blocklist[NAME].name", "Comment check, why et l'état l'appellent. Requis, et unique."),
    ("blocklist[NAME].file", "Où elle se trouve."),
    ("blocklist[NAME].url", "Ou d'où elle est cherchée."),
    ("blocklist[NAME].refresh", "Tous les combien elle est lue."),
    (
        "blocklist[NAME].expires",
        "Combien de temps ce qui a été lu en dernier tient quand elle ne peut plus être lue, ou est vide tout à \
         coup.",
    ),
    ("blocklist[NAME].entries_max", "Une liste avec plus d'entrées est refusée."),
    (
        "blocklist[NAME].widest_v4",
        "Les réseaux IPv4 plus larges (au préfixe plus court) sont laissés de côté.",
    ),
    ("blocklist[NAME].widest_v6", "De même pour IPv6."),
    (
        "blocklist[NAME].mode",
        "enforce rejette, observe dit seulement dans `check` qui y figure, off ne la lit pas.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn every_setting_has_its_french() {
        let schema = schema();
        let keys = schema.settings.iter().map(|it| (help(&it.key), it.key.as_str()));
        let sections = schema.sections.iter().map(|it| (section(it.name), it.name));
        let without: Vec<&str> =
            keys.chain(sections).filter(|(text, _)| text.is_empty()).map(|(_, key)| key).collect();
        assert_eq!(without, [""; 0]);
    }
}
