"""The round trip: send a probe by SMTP, and find it in the mailbox."""
