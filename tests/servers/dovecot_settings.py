"""The configuration of Dovecot, in the syntax of 2.3 and of 2.4."""

from __future__ import annotations

import re

_OLD_TLS = """
ssl_min_protocol = TLSv1
ssl_cipher_list = ALL:!aNULL:@SECLEVEL=0
import_environment = OPENSSL_CONF={folder}/openssl.cnf
"""
# Dovecot 2.3 can set a minimum TLS version, but no maximum; OpenSSL can.
OPENSSL = """
openssl_conf = default_conf
[default_conf]
ssl_conf = ssl
[ssl]
system_default = limits
[limits]
MinProtocol = {version}
MaxProtocol = {version}
CipherString = DEFAULT@SECLEVEL=0
"""

VARIANTS = {
    "": "",
    "tls-1.0": _OLD_TLS,
    "tls-1.1": _OLD_TLS,
    "client-certificate": """
ssl_ca = <{ca_file}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_require_client_cert = yes
""",
    "lock": "pop3_lock_session = yes\n",
    "one-connection": "mail_max_userip_connections = 1\n",
    # The same ports on another address expect the PROXY protocol.
    "proxy-protocol": """
haproxy_trusted_networks = 127.0.0.0/8
service pop3-login {{
  inet_listener proxied {{
    address = {proxied}
    port = {plain}
    haproxy = yes
  }}
  inet_listener proxied-tls {{
    address = {proxied}
    port = {tls}
    ssl = yes
    haproxy = yes
  }}
}}
""",
}

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
auth_verbose = yes
protocols = pop3
listen = {addresses}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 100
login_greeting = {folder.name}
auth_mechanisms = {mechanisms}
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
auth_failure_delay = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
service stats {{
  chroot =
}}
service anvil {{
  chroot =
  # Without this, a rejected login delays the next ones by seconds.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {plain}
  }}
  inet_listener pop3s {{
    port = {tls}
    ssl = yes
  }}
}}
"""


# Dovecot verifies the tokens itself with the key of the tests; no other server is needed.
OAUTH2 = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = email
issuers = https://issuer.example.test
"""

MECHANISMS = "plain login cram-md5 apop scram-sha-1 scram-sha-256 external xoauth2 oauthbearer"

USERS = """
passdb {{
  driver = passwd-file
  args = {folder}/passwd
  mechanisms = plain login cram-md5 apop scram-sha-1 scram-sha-256
}}
# The certificate authenticates the user; there is no password.
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
"""

_OAUTH2_2_4 = r"""oauth2 {
  introspection_mode = local
  username_attribute = email
  issuers = https://issuer.example.test
}
oauth2_local_validation {
  dict fs {
    fs posix {
      prefix = \1/keys/
    }
  }
}
"""

# https://doc.dovecot.org/2.4.1/installation/upgrade/2.3-to-2.4.html
_CHANGED_IN_2_4 = {
    r"\A": "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n",
    r"^mail_location = maildir:(.*)": r"mail_driver = maildir\nmail_path = \1",
    r"^auth_username_format = %n": "auth_username_format = %{user | username}",
    r"%u$": "%{user}",
    r"disable_plaintext_auth = no": "auth_allow_cleartext = yes",
    r"disable_plaintext_auth = yes": "auth_allow_cleartext = no",
    r"ssl_cert = <": "ssl_server_cert_file = ",
    r"ssl_key = <": "ssl_server_key_file = ",
    r"ssl_alt_cert = <": "ssl_server_alt_cert_file = ",
    r"ssl_alt_key = <": "ssl_server_alt_key_file = ",
    r"ssl_ca = <": "ssl_server_ca_file = ",
    r"ssl_cert_username_field": "ssl_server_cert_username_field",
    r"ssl_verify_client_cert": "ssl_server_request_client_cert",
    r"ssl_require_crl": "ssl_server_require_crl",
    r"^    address =": "    listen =",
    r"service_count = 0": "restart_request_count = unlimited",
    r"import_environment = (.*)": r"import_environment {\n  \1\n}",
    r"^passdb \{\n  driver = oauth2\n.*\n  args = (.*)/oauth2\n\}\n": _OAUTH2_2_4,
    r"^plugin \{\n  quota = .*\n  .*\n  quota_rule = \*:messages=(\d+)\n((?:  .*\n)*)\}": (
        r'quota "User quota" {\n  driver = count\n}\nquota_message_count = \1\n\2'
    ),
    r"^plugin \{\n  sieve_before = (.*)\n\}": (
        r"sieve_script before {\n  type = before\n  path = \1\n}"
    ),
    r"^(passdb|userdb) \{\n  driver = (.*)": r"\1 \2 {",
    r"^  mechanisms =": "  mechanisms_filter =",
    r"^  args = (/.*)": r"  default_password_scheme = PLAIN\n  passwd_file_path = \1",
    r"^  args = (nopassword)=y": r"  fields {\n    \1 = y\n  }",
    r"^  args = (uid=\d+) (gid=\d+) (home=.*)": r"  fields {\n    \1\n    \2\n    \3\n  }",
}

LOGGED_BY_2_4 = {
    "Logged in: user=": "Login: user=",
    "Login aborted: Logged out (": "Aborted login by logging out (",
}


def in_syntax_of(version: tuple[int, ...], settings: str) -> str:
    """Return settings of 2.3 with the names of the version."""
    if version >= (2, 4):
        for old, new in _CHANGED_IN_2_4.items():
            settings = re.sub(old, new, settings, flags=re.M)
    return settings
