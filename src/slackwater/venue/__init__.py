"""A mock venue: replays canonical tables over REST and websocket in the formats of real venues, with scripted faults.

::

    server      the HTTP server on loopback, its connections, the replay (`VenueServer`)
    delivery    faults applied to what is about to be sent
    script      the faults: kinds, fields, files (`read_script`)
    tape        the events of a replay in the order of time (`Tape`)
    history     what a symbol has in its tables, as arrays
    dialects    one module per venue: subscriptions, messages, answers
"""
