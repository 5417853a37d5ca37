"""Inbound mail: who gets it, who may post, and what the copies look like (spec 6, 8 and 9.5).

`decide.decide` is the whole decision, `events.to_events` what it becomes on the topics. The body is never looked at:
only header lines are read and edited, as bytes.
"""
