#!/bin/bash
# What happens inside the machine that tests the package, boot by boot. Says "ok WHAT" or "FAILED WHAT" on the
# second serial line, and what it measured.
set -u
here=/scenario
denied=198.51.100.10 blocked=198.51.100.20 control=203.0.113.7 guesser=198.51.100.30 other_guesser=198.51.100.31

say() { echo "$*"; }
check() {
    local what=$1
    shift
    if "$@" >/tmp/out 2>&1; then say "ok $what"; else say "FAILED $what: $* said: $(head -c 600 /tmp/out)"; fi
}
# Packets of a source that came past XDP.
passed() { nft list counter inet seen "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
wait_for() {
    local end=$((SECONDS + 120))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt $end ] || return 1
        sleep 0.2
    done
}
is_up() { sipprot status --json; }
is_blocked() { sipprot check "$blocked" --json | grep -q '"blocked":true'; }
ends_at() { sipprot check "$blocked" --json | sed -n 's/.*"expires_at":\([0-9]*\).*/\1/p'; }
pid() { systemctl show -p MainPID --value sipprot; }
of_process() { sed -n "s/^$1:\t//p" "/proc/$(pid)/status"; }
# bpf, net_admin, perfmon, sys_nice, chown, dac_read_search
six=000000c000801005
interface() { ip -o route get 192.0.2.1 | sed 's/.* dev \([^ ]*\).*/\1/'; }

# As sshd says it: a unit of its name, which journald attests; or an instance for each connection.
guess_at_ssh() {
    local unit=$1 instance=$2 source=$3
    cat >"/etc/systemd/system/$unit.service" <<EOF
[Service]
ExecStart=/bin/bash -c 'for n in {1..8}; do echo "Failed password for root from $source port 4100\$n ssh2"; done; sleep 2'
SyslogIdentifier=sshd
EOF
    systemctl daemon-reload
    systemctl restart "$instance"
}

first_boot() {
    say "kernel $(uname -r), interface $(interface)"
    sleep 3
    say "before: control $(passed control), denied $(passed denied)"
    check "the attack arrives" test "$(passed denied)" -gt 0
    check "install" dpkg -i $here/old.deb
    say "$(sed -n '/is installed/,$p' /tmp/out)"
    check "the daemon answers" wait_for is_up
    check "the unit is active" systemctl is-active sipprot
    check "it only observes" grep -q '^mode = "observe"' /etc/sipprot/sipprot.toml
    check "it has the interface of the default route" grep -q "^interfaces = \[\"$(interface)\"\]" /etc/sipprot/sipprot.toml
    check "that is filtered" wait_for sh -c "sipprot status --json | grep -q '\"attached\":true'"
    say "$(systemctl status sipprot --no-pager | grep Status)"
    local before=$(passed denied)
    sleep 1
    check "and nothing is dropped" test "$(passed denied)" -gt "$before"
    say "security: $(systemd-analyze security sipprot.service | tail -1)"
    say "capabilities: $(of_process CapEff) = $(capsh --decode="$(of_process CapEff)")"
    check "six capabilities, and no more to come by" test "$(of_process CapEff)$(of_process CapBnd)" = $six$six
    say "seccomp: $(of_process Seccomp), NoNewPrivs $(of_process NoNewPrivs)"
    check "pages" test -s /usr/share/man/man1/sipprot.1.gz
    check "completion" bash -c '. /usr/share/bash-completion/completions/sipprot && complete -p sipprot'
    check "setup" sipprot setup --yes --mode enforce --endpoint pbx=192.0.2.11
    check "deny" sipprot deny add $denied --note scenario
    check "block" sipprot block $blocked --for 1h
    local pid=$(pid)
    mkdir -p /etc/sipprot/sipprot.d
    echo 'rules.register_limit = 12' >/etc/sipprot/sipprot.d/trial.toml
    check "reload by the manager" systemctl reload sipprot
    check "it took what was changed" sh -c "sipprot config get rules.register_limit | grep -q 12"
    check "the same daemon" test "$(pid)" = "$pid"
    echo 'mode = "sideways"' >/etc/sipprot/sipprot.d/trial.toml
    check "a wrong configuration is refused" sh -c '! systemctl reload sipprot'
    rm -r /etc/sipprot/sipprot.d
    check "and nothing ended by it" test "$(pid)$(systemctl is-active sipprot)" = "${pid}active"
    sleep 1
    nft reset counters >/dev/null
    sleep 2
    check "denied and blocked are dropped" test "$(passed denied)$(passed blocked)" = 00

    guess_at_ssh ssh ssh "$guesser"
    check "who guesses at ssh is blocked" wait_for sh -c "sipprot check $guesser --json | grep -q '\"blocked\":true'"
    guess_at_ssh ssh@ ssh@7 "$other_guesser"
    check "and at one that a socket started" wait_for sh -c "sipprot check $other_guesser --json | grep -q '\"blocked\":true'"
    check "the journal has fields" wait_for sh -c "journalctl -u sipprot SIPPROT_SOURCE=$guesser -o json | grep -q SIPPROT_RULE"
    journalctl -u sipprot SIPPROT_SOURCE=$guesser -o verbose --no-pager | grep -E '^ *(MESSAGE|PRIORITY|SIPPROT|_SYSTEMD_UNIT|SYSLOG_IDENT)' | head -12

    before=$(ends_at)
    pid=$(pid)
    nft reset counters >/dev/null
    check "upgrade" dpkg -i $here/new.deb
    check "the new daemon answers" wait_for is_up
    check "it is another one" test "$(pid)" != "$pid"
    sleep 2
    say "during the upgrade: control $(passed control), denied $(passed denied), blocked $(passed blocked)"
    check "no packet came through" test "$(passed denied)$(passed blocked)" = 00
    check "others did" test "$(passed control)" -gt 0
    check "the block holds" is_blocked
    # It attacks on, which renews it.
    check "at least until the same time" test "$(ends_at)" -ge "$before"
    say "maps: $(journalctl -u sipprot -o cat | grep -c 'took over the maps')"
    check "configuration stays" grep -q 'name = "pbx"' /etc/sipprot/sipprot.toml

    check "watchdog" sh -c 'test "$(systemctl show -p WatchdogUSec --value sipprot)" = 30s'
    nft reset counters >/dev/null
    pid=$(pid)
    kill -STOP "$pid"
    check "who hangs is started anew" sh -c "for n in \$(seq 60); do test \$(systemctl show -p MainPID --value sipprot) != $pid && exit 0; sleep 1; done; exit 1"
    check "and answers" wait_for is_up
    check "meanwhile nothing came through" test "$(passed denied)$(passed blocked)" = 00
    say "errors in the journal: $(journalctl -u sipprot -p err -o cat | grep -v -i watchdog | sort | uniq -c | head -20)"
}

second_boot() {
    say "up for $(cut -d' ' -f1 /proc/uptime) s: control $(passed control), denied $(passed denied), blocked $(passed blocked)"
    check "the control arrived" wait_for sh -c "test \$(nft list counter inet seen control | sed -n 's/.*packets \([0-9]*\).*/\1/p') -gt 0"
    check "the daemon answers" wait_for is_up
    check "no packet of the denied source came through, from the first on" test "$(passed denied)" = 0
    check "nor of the blocked one" test "$(passed blocked)" = 0
    say "dropped: $(sipprot top --once | grep Dropped)"
    say "order: $(journalctl -b -o short-monotonic --no-pager | grep -E 'sipprot|network-pre|networking|Raise|Link UP|entered forwarding' | head -20)"
    check "remove" dpkg -r sipprot
    check "detached" sh -c "! ip link show | grep -q xdp"
    check "no pins" test ! -e /sys/fs/bpf/sipprot
    check "no process" sh -c '! pgrep -x sipprot'
    check "the configuration stays" test -e /etc/sipprot/sipprot.toml
    nft reset counters >/dev/null
    sleep 1
    check "nothing is dropped any more" test "$(passed denied)" -gt 0
    check "installed again" dpkg -i $here/new.deb
    check "and the denylist is there again" wait_for sh -c "sipprot check $denied --json | grep -q '\"denied\":true'"
    check "purge" dpkg -P sipprot
    find / -xdev \( -path /proc -o -path /sys -o -path $here \) -prune -o -iname '*sipprot*' -print >/tmp/left
    check "nothing is left: $(tr '\n' ' ' </tmp/left)" test ! -s /tmp/left
    check "nor a group" sh -c '! getent group sipprot'
    check "nor a unit" sh -c '! systemctl cat sipprot.service'
    check "nor a pin" test ! -e /sys/fs/bpf/sipprot
}

stage=$(cat $here/stage 2>/dev/null || echo 1)
exec >/dev/ttyS1 2>&1
case $stage in
    1) first_boot ;;
    2) second_boot ;;
esac
journalctl -u sipprot -o cat --no-pager | tail -25
echo $((stage + 1)) >$here/stage
say "end of boot $stage"
sync
if [ "$stage" = 1 ]; then systemctl reboot; else systemctl poweroff; fi
