# bash completion for check_pop3_plus; made by `make generated`.
_check_pop3_plus() {
    # Bash takes words apart at = and :, so they are read from the line.
    local line=${COMP_LINE:0:COMP_POINT} joined='' values='' action='' lead='' cut=''
    local word=${line##*[[:space:]]}
    line=${line%"$word"}
    line=${line%"${line##*[![:space:]]}"}
    local option=${line##*[[:space:]]} value=$word
    if [[ $word == --*=* ]]; then
        option=${word%%=*} value=${word#*=} joined==
    fi
    case $option$joined in
        -H|--hostname|--hostname=|-p|--port|--port=|--connect-to|--connect-to=|--source-address|--source-address=|--min-addresses|--min-addresses=|--sni|--sni=|-D|--certificate|--certificate=|--pin|--pin=|--issuer|--issuer=|--min-key-bits|--min-key-bits=|--max-validity|--max-validity=|-U|--username|--username=|--password-env|--password-env=|--oauth-token-url|--oauth-token-url=|--oauth-client-id|--oauth-client-id=|--oauth-scope|--oauth-scope=|--messages-warning|--messages-warning=|--messages-critical|--messages-critical=|--size-warning|--size-warning=|--size-critical|--size-critical=|--newest-warning|--newest-warning=|--newest-critical|--newest-critical=|--oldest-warning|--oldest-warning=|--oldest-critical|--oldest-critical=|--round-trip-to|--round-trip-to=|--round-trip-id|--round-trip-id=|--round-trip-wait|--round-trip-wait=|--probe-age-warning|--probe-age-warning=|--probe-age-critical|--probe-age-critical=|--delivery-warning|--delivery-warning=|--delivery-critical|--delivery-critical=|--smtp-host|--smtp-host=|--smtp-port|--smtp-port=|--smtp-connect-to|--smtp-connect-to=|--smtp-from|--smtp-from=|--smtp-helo|--smtp-helo=|--smtp-username|--smtp-username=|--smtp-password-env|--smtp-password-env=|-w|--warning|--warning=|-c|--critical|--critical=|--run-timeout|--run-timeout=|-e|--expect|--expect=|--require-capa|--require-capa=|--rechecks|--rechecks=|--jobs|--jobs=|--jobs-per-address|--jobs-per-address=|--workers|--workers=|--icinga-user|--icinga-user=|--extra-opts=)
            :
            ;;
        --verify|--verify=)
            values='full chain none'
            ;;
        --ca-file|--ca-file=|--client-cert|--client-cert=|--client-key|--client-key=|--expect-cert-file|--expect-cert-file=|--password-file|--password-file=|--oauth-client-secret-file|--oauth-client-secret-file=|--oauth-refresh-token-file|--oauth-refresh-token-file=|--oauth-ca-file|--oauth-ca-file=|--round-trip-key-file|--round-trip-key-file=|--smtp-ca-file|--smtp-ca-file=|--smtp-password-file|--smtp-password-file=|--sweep|--sweep=|--icinga-password-file|--icinga-password-file=|--icinga-ca-file|--icinga-ca-file=)
            action=-f
            ;;
        --ca-path|--ca-path=)
            action=-d
            ;;
        --tls-min|--tls-min=)
            values='1.1 1.2 1.3'
            ;;
        --cert-type|--cert-type=)
            values='rsa ecdsa both'
            ;;
        --password-command|--password-command=|--smtp-password-command|--smtp-password-command=)
            action=-c
            ;;
        --auth|--auth=)
            values='auto user apop plain login cram-md5 scram-sha-1 scram-sha-256 external xoauth2 oauthbearer'
            ;;
        --smtp-auth|--smtp-auth=)
            values='auto plain login xoauth2 oauthbearer'
            ;;
        --phase-warning|--phase-warning=|--phase-critical|--phase-critical=)
            values='resolve= failed= connect= tls= greeting= capa= stls= login= stat= top= smtp='
            ;;
        -t|--timeout|--timeout=)
            [[ $value == *:* ]] && values="${value%%:*}:ok ${value%%:*}:warning ${value%%:*}:critical ${value%%:*}:unknown"
            ;;
        --refuse-cleartext-login=)
            values='try'
            ;;
        --state|--state=)
            values='unresolved= resolver= refused= unreachable= timeout= partial= closed= garbled= oversized= greeting= greeting-temporary= expect= tls= old-tls= expired= not-yet-valid= name= untrusted= weak= not-strict= client-certificate= no-stls= injected= no-capability= no-mechanism= cleartext-refused= credentials= locked-out= login-refused= in-use= login-delay= temporary= permanent= backend= mailbox= goodbye= certificate-unreadable= cleartext-accepted= injectable= legacy-tls= pin= issuer= not-deployed= long-lived= too-few= no-message= submission= submission-temporary= undelivered= not-deleted= slow= expiring= messages= size= stale= unfetched= delayed='
            [[ $value == *=* ]] && values="${value%%=*}=ok ${value%%=*}=warning ${value%%=*}=critical ${value%%=*}=unknown"
            ;;
        -r|--refuse|--refuse=|-M|--mismatch|--mismatch=)
            values='ok warning critical unknown'
            ;;
        --diagnose=)
            values='dns tcp tls dialog ping trace' lead=${value%"${value##*,}"}
            ;;
        --sensitivity|--sensitivity=)
            values='very-high high medium low very-low'
            ;;
        --submit|--submit=)
            values='icinga2:https:// nagios: prometheus: jsonl:-'
            ;;
        --output|--output=)
            values='plugin json prometheus'
            ;;
        *)
            [[ $joined ]] || values='--hostname --port --use-ipv4 --use-ipv6 --connect-to --source-address --all-addresses --min-addresses --ssl --starttls --verify --sni --ca-file --ca-path --tls-min --client-cert --client-key --x509-strict --certificate --pin --issuer --expect-cert-file --min-key-bits --max-validity --cert-type --username --password-file --password-env --password-command --auth --allow-insecure-login --oauth-token-url --oauth-client-id --oauth-client-secret-file --oauth-refresh-token-file --oauth-scope --oauth-ca-file --messages-warning --messages-critical --size-warning --size-critical --newest-warning --newest-critical --oldest-warning --oldest-critical --round-trip-to --round-trip-key-file --round-trip-id --round-trip-wait --round-trip-fetch-only --probe-age-warning --probe-age-critical --delivery-warning --delivery-critical --smtp-host --smtp-port --smtp-ssl --smtp-starttls --smtp-connect-to --smtp-ca-file --smtp-from --smtp-helo --smtp-username --smtp-password-file --smtp-password-env --smtp-password-command --smtp-auth --warning --critical --phase-warning --phase-critical --timeout --run-timeout --expect --all --require-capa --refuse-cleartext-login --check-starttls-injection --reject-legacy-tls --state --refuse --mismatch --diagnose --sensitivity --rechecks --sweep --jobs --jobs-per-address --workers --submit --icinga-user --icinga-password-file --icinga-ca-file --verbose --output --extra-opts --version --help'
            ;;
    esac
    COMPREPLY=()
    if [[ $action ]]; then
        mapfile -t COMPREPLY < <(compgen "$action" -- "$value")
        compopt -o filenames 2>/dev/null
    elif [[ $values ]]; then
        mapfile -t COMPREPLY < <(compgen -P "$lead" -W "$values" -- "${value#"$lead"}")
    fi
    [[ $joined ]] && COMPREPLY=("${COMPREPLY[@]/#/$option=}")
    # A reply replaces only what follows the last = or : at which bash separates words.
    local breaks=${COMP_WORDBREAKS//[!=:]/}
    [[ $breaks && $word == *["$breaks"]* ]] && cut=${word%"${word##*["$breaks"]}"}
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${COMPREPLY[0]} == *[=:/] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _check_pop3_plus check_pop3_plus
