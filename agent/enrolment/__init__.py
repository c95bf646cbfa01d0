"""How this host comes in at the service centre: a one-time token becomes a certificate, which then renews itself.

Why it is built so, its types and its states: docs/decisions/0014-enrolment-over-est.md.
"""
