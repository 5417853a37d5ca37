"""Mail providers beside SMTP. Each offers what SmtpPool does (gateway/transport.py) and passes the same contract suite."""
