"""Paper trading: scores, decisions, orders and fills on live data, without any way to place a real order.

::

    watch             the process: what a feed yields goes to an account
    stored_account    an account on the disk: settings, log of inputs, desk, journal, checkpoints
      input_log       what a desk was told, in order
      checkpoint      the state of a desk
      rehearsal       a decision without effect, which loads the compiled code
      code_version    which code has decided
    desk              inputs in, events of the journal out; neither clock nor network nor files
      broker          orders, positions, cash
      position        one trade from its order to its exit
      forgone         what refused trades would have earned
      alarms          crowded sides, near pools, sweeps, drift
      live_rule       the rule of the gate on live data
      hourly_closes   prices for correlations
      plan_values     plans as plain values
    reconcile         every difference to history, with a cause
    viewer, view      what a person sees of a desk
    screen            in a terminal, and on a page
"""
