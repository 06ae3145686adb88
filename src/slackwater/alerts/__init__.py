"""Alerts: messages about what a journal holds, to the services that the user names.

::

    follower    reads the journal, sends messages
      reader    new events of a journal
      message   an event in words
      episodes  one message per episode, updated
      grouping  many messages of one moment as one
      outbox    what was sent, and what waits
    channels    services, by apprise
      answers   what a service said, such as how long to wait
    heartbeat   signs of life of a process
    silence     a message when there are none
"""
