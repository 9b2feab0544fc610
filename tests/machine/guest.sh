#!/bin/bash
# What happens inside the machine that tests the package, boot by boot. Says "ok WHAT" or "FAILED WHAT" on the
# second serial line, and what it measured.
set -u
here=/scenario
denied=198.51.100.10 blocked=198.51.100.20 control=203.0.113.7

say() { echo "$*"; }
check() {
    local what=$1
    shift
    if "$@" >/tmp/out 2>&1; then say "ok $what"; else say "FAILED $what: $* said: $(head -c 600 /tmp/out)"; fi
}
# Packets of a source that came past XDP.
passed() { nft list counter inet seen "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
wait_for() {
    local n
    for n in $(seq 900); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    return 1
}
is_up() { sipprot status --json; }
caps() { sed -n 's/^CapEff:\t//p' "/proc/$(systemctl show -p MainPID --value sipprot)/status"; }
is_blocked() { sipprot check "$blocked" --json | grep -q '"blocked":true'; }
ends_at() { sipprot check "$blocked" --json | sed -n 's/.*"expires_at":\([0-9]*\).*/\1/p'; }
interface() { ip -o route get 192.0.2.1 | sed 's/.* dev \([^ ]*\).*/\1/'; }

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
    say "capabilities: $(caps) = $(grep -q . /dev/null; command -v capsh >/dev/null && capsh --decode="$(caps)")"
    say "seccomp: $(grep ^Seccomp: "/proc/$(systemctl show -p MainPID --value sipprot)/status"), NoNewPrivs $(sed -n 's/^NoNewPrivs:\t//p' "/proc/$(systemctl show -p MainPID --value sipprot)/status")"
    check "pages" test -s /usr/share/man/man1/sipprot.1.gz
    check "completion" bash -c '. /usr/share/bash-completion/completions/sipprot && complete -p sipprot'
    check "setup" sipprot setup --yes --mode enforce --endpoint pbx=192.0.2.11
    check "deny" sipprot deny add $denied --note scenario
    check "block" sipprot block $blocked --for 1h
    check "reload by the manager" systemctl reload sipprot
    check "still active" systemctl is-active sipprot
    sleep 1
    nft reset counters >/dev/null
    sleep 2
    check "denied and blocked are dropped" test "$(passed denied)$(passed blocked)" = 00

    before=$(ends_at)
    local pid=$(systemctl show -p MainPID --value sipprot)
    nft reset counters >/dev/null
    check "upgrade" dpkg -i $here/new.deb
    check "the new daemon answers" wait_for is_up
    check "it is another one" test "$(systemctl show -p MainPID --value sipprot)" != "$pid"
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
    kill -STOP "$(systemctl show -p MainPID --value sipprot)"
    pid=$(systemctl show -p MainPID --value sipprot)
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
