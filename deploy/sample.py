"""A small made-up chapter for the demo: two hundred students with guardians, one class with a teacher, one request."""

from __future__ import annotations

from datetime import datetime
from typing import Any

DOMAIN = "splash.example.org"
LIST = f"m123-class@{DOMAIN}"
TEACHER = "tess@people.example.net"
STUDENTS = 200
ON_THE_LIST = 12
FIRST_NAMES = ("Ada", "Ben", "Chloé", "Dev", "Elif", "Farah", "Goran", "Hana", "Ivo", "Jun")
LAST_NAMES = ("Adler", "Bø", "Castro", "Diallo", "Eze", "Fischer", "Gupta", "Haddad", "Ito", "Jansen")
SITE = {
    "domain": DOMAIN,
    "group_name": "Example Splash",
    "bounces": f"bounces@{DOMAIN}",
    "support": f"support@{DOMAIN}",
}


def directory() -> dict[str, Any]:
    """In the form that `espmail directory load` takes."""
    teacher = {"user_id": "t1", "username": "tess", "first_name": "Tess", "last_name": "Tamm", "email": TEACHER, "roles": ["Teacher"]}
    members = [student(number)["user_id"] for number in range(ON_THE_LIST)]
    return {
        "site": {**{key: SITE[key] for key in ("domain", "support", "bounces")}, "default": f"info@{DOMAIN}"},
        "people": [teacher, *(account(number) for number in range(STUDENTS))],
        "classes": [
            {
                "class_id": 123,
                "category": "M",
                "program": {"name": "Splash", "director_email": f"info@{DOMAIN}"},
                "teachers": ["t1"],
                "sections": [{"section_id": 1, "students": members[:8]}, {"section_id": 2, "students": members[6:]}],
            }
        ],
        "redirects": [{"original": "board", "destination": "one@people.example.net, two@people.example.net"}],
        "email_lists": [
            {"seq": 10, "regex": r"^\w(\d+)s(\d+)-(class|teachers|students)$", "handler": "SectionList"},
            {"seq": 20, "regex": r"^\w(\d+)-(class|teachers|students)$", "handler": "ClassList", "subject_prefix": "Splash"},
            {"seq": 30, "regex": "^(.*)$", "handler": "PlainList"},
            {"seq": 40, "regex": "^(.*)$", "handler": "UserEmail"},
        ],
    }


def student(number: int) -> dict[str, Any]:
    """One person of the request's audience; every tenth has no address of their own."""
    first, last = FIRST_NAMES[number % 10], LAST_NAMES[number // 10 % 10]
    address = "" if number % 10 == 9 else f"student{number}@people.example.net"
    return {"user_id": f"s{number}", "username": f"student{number}", "first_name": first, "last_name": last, "email": address}


def account(number: int) -> dict[str, Any]:
    return {**student(number), "roles": ["Student"]}


def request(request_id: str, now: datetime) -> dict[str, Any]:
    """In the form that `espmail request submit` takes: to every student and guardian."""
    return {
        "request_id": request_id,
        "subject": "Welcome to Splash, {{ user.first_name }}",
        "body": BODY,
        "sender": None,
        "send_to": "send_to_self_and_guardian",
        "created_at": now.isoformat(),
        "creator": {"user_id": "a1", "first_name": "Ana", "last_name": "Admin", "email": f"ana@{DOMAIN}"},
        "site": SITE,
        "variables": {"program": {"date": "Feb. 19, 2028"}},
        "recipients": [_recipient(number) for number in range(STUDENTS)],
    }


def class_mail(now: datetime) -> bytes:
    """A teacher's mail to the class list, as an MTA would hand it in."""
    date = now.strftime("%a, %d %b %Y %H:%M:%S +0000")
    return CLASS_MAIL.format(sender=TEACHER, to=LIST, date=date, stamp=now.timestamp()).replace("\n", "\r\n").encode()


def _recipient(number: int) -> dict[str, Any]:
    person = student(number)
    guardian = {"first_name": "Gil", "last_name": person["last_name"], "email": f"guardian{number}@people.example.net"}
    schedule = {"html": f"<table><tr><td>Sat 9:00am</td><td>Room {100 + number % 7}</td></tr></table>"}
    active = number % 50 != 17  # a few left the site: the demo shows who got nothing, and why
    return {**person, "active": active, "guardian": guardian, "variables": {"program": {"student_schedule": schedule}}}


BODY = """<html><body>
<p>Dear {{ user.name }},</p>
<p>Splash is on <b>{{ program.date }}</b>. This is your schedule:</p>
{{ program.student_schedule }}
<p>Everything else stands at <a href="/learn/Splash/2028/catalog">the catalog</a>.</p>
<p><a href="{{ user.unsubscribe_link }}">No more mail like this</a></p>
</body></html>
"""
CLASS_MAIL = """From: Tess Tamm <{sender}>
To: {to}
Subject: Bring a calculator
Date: {date}
Message-ID: <{stamp}@people.example.net>

Hello all, please bring a calculator to the first class.
"""
