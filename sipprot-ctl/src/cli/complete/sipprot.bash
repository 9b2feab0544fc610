# Words are those between blanks: bash itself ends one at each colon, also within an IPv6 address.
_sipprot() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$' \t\n'
    local -a words
    read -ra words <<<"$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    local current="${words[${#words[@]} - 1]}"
    IFS=$'\013'
    COMPREPLY=($(
        COMPLETE=bash _CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
            _CLAP_COMPLETE_COMP_TYPE="$COMP_TYPE" _CLAP_COMPLETE_SPACE=true \
            sipprot -- "${words[@]}" 2>/dev/null
    ))
    if [[ "$current" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        local before="${current%"${current##*:}"}"
        COMPREPLY=("${COMPREPLY[@]#"$before"}")
    fi
}
complete -o bashdefault -o nosort -F _sipprot sipprot
