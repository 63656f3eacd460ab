"""One reader's place: what comes next, how it is shown, and how an answer reaches the store."""
