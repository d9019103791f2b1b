"""One drawing script per figure. They read tables only."""
