"""Commands of `slackwater`, a module per subject; each imports what it runs when it is called."""
