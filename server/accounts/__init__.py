"""Who somebody is: sign-up, login, sessions, second factor, devices, invitations, people.

`wiring.build` makes the part; `routes.routes` is its table of HTTP routes; it has no socket events.
"""
