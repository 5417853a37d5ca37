"""Pure decisions: functions of (state, event, now). No IO, no clock, no environment (tests/unit/test_house.py)."""
