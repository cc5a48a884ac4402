#!/bin/sh
# Mail one notification. All text comes from the environment (see pop3_notifications.conf) and is
# only printed: nothing of it is run, and no line of it can become a header.
set -u
export LC_ALL=C # so that tools count bytes
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin

line() { # TEXT: as one line, without control characters
    printf '%s' "$1" | tr '\000-\037\177' ' '
}

subject() { # TEXT: a header's value, anything but ASCII encoded (RFC 2047)
    line "$1" | awk '
        BEGIN { for (i = 1; i < 256; i++) number[sprintf("%c", i)] = i }
        !/[\200-\377]/ { print; next }
        {
            word = ""
            for (i = 1; i <= length($0); i++) {
                byte = substr($0, i, 1)
                # A character of several bytes must not be split between two words.
                if (length(word) > 42 && (number[byte] < 128 || number[byte] > 191)) {
                    printf "=?UTF-8?Q?%s?=\n ", word
                    word = ""
                }
                if (byte == " ") word = word "_"
                else if (byte ~ /[A-Za-z0-9]/) word = word byte
                else word = word sprintf("=%02X", number[byte])
            }
            printf "=?UTF-8?Q?%s?=\n", word
        }'
}

reason() { # the first line of the output, at most 200 bytes and no part of a character
    printf '%s\n' "$POP3_OUTPUT" | awk '
        NR == 1 {
            if (length($0) > 200) {
                $0 = substr($0, 1, 200)
                sub(/[\200-\377]*$/, "")
            }
            print
        }'
}

output() { # mail systems refuse longer lines
    printf '%s\n' "$POP3_OUTPUT" | tr -d '\r' | fold -s -w 900
}

mail() {
    printf 'To: %s\n' "$(line "$POP3_TO")"
    [ -z "${POP3_FROM:-}" ] || printf 'From: %s\n' "$(line "$POP3_FROM")"
    # The reason first: telephones show the first 40 characters.
    printf 'Subject: %s\n' "$(subject \
        "$(reason) - $POP3_TYPE: $POP3_SERVICE_NAME on $POP3_HOST_NAME is $POP3_STATE")"
    printf '%s\n' 'Auto-Submitted: auto-generated' 'MIME-Version: 1.0' \
        'Content-Type: text/plain; charset=utf-8' 'Content-Transfer-Encoding: 8bit' ''
    # On a telephone the first nine lines must be enough: reason, service, time, cause and hint.
    output | head -n 1
    printf '%s\n' "service: $(line "$POP3_HOST!$POP3_SERVICE"), address $(line "${POP3_ADDRESS:-}")" \
        "time: $(line "${POP3_DATE:-}"), checked from $(line "${POP3_SOURCE:-}")"
    [ -z "${POP3_COMMENT:-}" ] ||
        printf '%s\n' "comment by $(line "${POP3_AUTHOR:-}"): $(line "$POP3_COMMENT")"
    output | tail -n +2
}

[ -n "${POP3_TO:-}" ] || {
    echo 'the user to be told has no email'
    exit 1
}
mail | "${POP3_SENDMAIL:-sendmail}" -t -i
